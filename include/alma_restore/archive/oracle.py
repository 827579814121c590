"""Connections to the observatory's Oracle database with the thin driver, which needs no Oracle client installed."""

from __future__ import annotations

from typing import Any

CALL_TIMEOUT_S = 300.0
"""How long one round trip to the database may take before it counts as not answering."""


def connect(
    dsn: str,
    user: str,
    password: str,
    *,
    wallet: str = "",
    wallet_password: str = "",
    call_timeout_s: float = CALL_TIMEOUT_S,
) -> Any:
    """Open a connection outside Airflow; within it, give the connection of its OracleHook to `tuned`.

    Args:
        dsn: `host:port/service`, or a name in the wallet's tnsnames.ora.
        wallet: folder with ewallet.pem and tnsnames.ora; empty: none.
        call_timeout_s: how long one round trip may take.
    """
    import oracledb

    wallet_settings = {"config_dir": wallet, "wallet_location": wallet, "wallet_password": wallet_password or None}
    connection = oracledb.connect(
        dsn=dsn, user=user, password=password, tcp_connect_timeout=20.0, **(wallet_settings if wallet else {})
    )
    return tuned(connection, call_timeout_s)


def tuned(connection: Any, call_timeout_s: float = CALL_TIMEOUT_S) -> Any:
    """Make an oracledb connection give up on a silent database, and give CLOBs as text in the rows themselves."""
    connection.call_timeout = round(call_timeout_s * 1000)
    connection.outputtypehandler = _clob_as_text
    return connection


def _clob_as_text(cursor: Any, column: Any) -> Any:
    import oracledb

    if column.type_code is oracledb.DB_TYPE_CLOB:
        return cursor.var(oracledb.DB_TYPE_LONG, arraysize=cursor.arraysize)
    return None
