"""Connections to the observatory's Oracle database with the thin driver, which needs no Oracle client installed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Expired  # another class than the builtin one before Python 3.11
from typing import Any

from alma_restore.errors import NotAvailable

LOGIN_TIMEOUT_S = 60.0
"""How long a log-in may take."""

CALL_TIMEOUT_S = 300.0
"""How long one round trip may take after that."""


def connect(
    dsn: str, user: str, password: str, *, wallet: str = "", wallet_password: str = "", **timeouts: float
) -> Any:
    """Open a connection outside Airflow; within it, give the OracleHook's `get_conn` to `opened`.

    Args:
        dsn: `host:port/service`, or a name in the wallet's tnsnames.ora.
        wallet: folder with ewallet.pem and tnsnames.ora; empty: none.
        timeouts: as `opened` takes them.

    Raises:
        NotAvailable: the database does not answer the log-in in time.
    """
    import oracledb

    driver: Any = oracledb  # not all of it is typed
    driver.enable_thin_mode()  # else one log-in without an answer holds up all others of this process
    with_wallet = {"config_dir": wallet, "wallet_location": wallet, "wallet_password": wallet_password or None}
    return opened(
        lambda: driver.connect(dsn=dsn, user=user, password=password, **(with_wallet if wallet else {})), **timeouts
    )


def opened(
    connect: Callable[[], Any], login_timeout_s: float = LOGIN_TIMEOUT_S, call_timeout_s: float = CALL_TIMEOUT_S
) -> Any:
    """Open an oracledb connection that never waits for ever, neither in the log-in nor for a query.

    Raises:
        NotAvailable: the database does not answer the log-in in time.
    """
    connection: Future[Any] = Future()
    # The driver waits without end for a listener that accepts and stays silent; a daemon thread may be left to it.
    threading.Thread(target=_settle, args=(connection, connect), daemon=True).start()
    try:
        settled = connection.result(login_timeout_s)
    except Expired as error:
        raise NotAvailable(
            f"The metadata database did not answer our log-in within {login_timeout_s:g} s.",
            remedy="It is asked again later; `alma-restore doctor` checks the connection.",
        ) from error
    settled.call_timeout = round(call_timeout_s * 1000)
    return settled


def _settle(connection: Future[Any], connect: Callable[[], Any]) -> None:
    try:
        connection.set_result(connect())
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
        connection.set_exception(error)
