"""The archive's connections, from `AIRFLOW_CONN_*` environment variables, for programs that run outside Airflow.

Airflow shows connections kept in its own database to its tasks only; they cannot be read from here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from alma_restore.archive import embedded, oracle
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.ngas import NgasNode
from alma_restore.errors import Misconfigured
from alma_restore.settings import Settings

METADATA = "alma_metadata"
NGAS = "alma_ngas"
SMTP = "alma_smtp"
EVENTS = "alma_events"

EMBEDDED_KIND = "alma_embedded"

ORACLE_PORT = 1521


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection as Airflow understands it; `kind` is its type, such as `oracle`."""

    kind: str
    host: str = ""
    port: int | None = None
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def variable_of(name: str) -> str:
    """The environment variable that holds a connection."""
    return f"AIRFLOW_CONN_{name.upper()}"


def connection(name: str, environ: Mapping[str, str] = os.environ) -> Connection | None:
    """A connection of the environment, as JSON or as a URI; None when it is not there.

    Raises:
        Misconfigured: it cannot be read.
    """
    text = environ.get(variable_of(name), "").strip()
    if not text:
        return None
    try:
        return _from_json(text) if text.startswith("{") else _from_uri(text)
    except (ValueError, TypeError, AttributeError):
        # Without the error, which quotes what it met: that can be a part of a password.
        raise Misconfigured(
            f"{variable_of(name)} cannot be read as a connection.",
            remedy="Write it as JSON, or as a URI whose password is percent-encoded.",
        ) from None


def needed(name: str, environ: Mapping[str, str] = os.environ) -> Connection:
    """A connection of the environment that nothing goes without.

    Raises:
        Misconfigured: it is not there, or cannot be read.
    """
    found = connection(name, environ)
    if found is None:
        remedy = "Set it as Airflow's tasks have it; connections in Airflow's own database cannot be read from here."
        raise Misconfigured(f"{variable_of(name)} is not set.", remedy=remedy)
    return found


def metadata(environ: Mapping[str, str] = os.environ) -> Metadata:
    """The archive's metadata database, embedded or Oracle.

    Raises:
        Misconfigured: there is no connection to it, or one of another kind.
    """
    found = needed(METADATA, environ)
    if found.kind not in (EMBEDDED_KIND, "oracle"):
        raise Misconfigured(
            f"{variable_of(METADATA)} is of kind {found.kind!r}.", remedy=f"Use oracle or {EMBEDDED_KIND}."
        )

    @contextmanager
    def connect() -> Iterator[Any]:
        with closing(_opened(found)) as opened:
            yield opened

    return Metadata(connect)


def asdm_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The ready raw data of an embedded archive; None at an observatory."""
    found = connection(METADATA, environ)
    return Path(found.host).parent / "asdm" if found and found.kind == EMBEDDED_KIND else None


def ngas_nodes(here: Settings, environ: Mapping[str, str] = os.environ) -> list[NgasNode]:
    """The NGAS nodes, from the connection or else from the settings; empty when neither names one."""
    found = connection(NGAS, environ) or Connection("http", here.ngas.host, here.ngas.port)
    hosts = found.host.replace(",", " ").split()
    return [NgasNode(host, found.port or here.ngas.port, found.login, found.password) for host in hosts]


def _opened(found: Connection) -> Any:
    if found.kind == EMBEDDED_KIND:
        return embedded.connect(Path(found.host))
    return oracle.connect(
        oracle_dsn(found),
        found.login,
        found.password,
        wallet=str(found.extra.get("wallet_location") or ""),
        wallet_password=str(found.extra.get("wallet_password") or ""),
    )


def oracle_dsn(found: Connection) -> str:
    """Where the database is: `host:port/service`, as Airflow's OracleHook puts it together."""
    service = str(found.extra.get("service_name") or found.schema)
    if found.extra.get("dsn") and not service:
        return str(found.extra["dsn"])
    if sid := found.extra.get("sid"):
        address = f"(ADDRESS=(PROTOCOL=TCP)(HOST={found.host})(PORT={found.port or ORACLE_PORT}))"
        return f"(DESCRIPTION={address}(CONNECT_DATA=(SID={sid})))"
    if not service:
        return found.host + (f":{found.port}" if found.port else "")
    return f"{found.host}:{found.port or ORACLE_PORT}/{service}"


def _from_json(text: str) -> Connection:
    fields = json.loads(text)
    extra = fields.get("extra") or {}
    return Connection(
        kind=str(fields["conn_type"]) if "conn_type" in fields else "",
        host=str(fields.get("host") or ""),
        port=int(fields["port"]) if fields.get("port") else None,
        login=str(fields.get("login") or ""),
        password=str(fields.get("password") or ""),
        schema=str(fields.get("schema") or ""),
        extra=dict(json.loads(extra) if isinstance(extra, str) else extra),
    )


def _from_uri(text: str) -> Connection:
    """Read `kind://login:password@host:port/schema?name=value`, each part percent-encoded."""
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("it is neither JSON nor a URI")
    login, _, address = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    quoted_host, colon, port = address.rpartition(":")
    host = unquote(quoted_host if colon else address)
    extra = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Connection(
        kind=parts.scheme.replace("-", "_"),
        host=host if "/" in host else host.lower(),
        port=int(port) if colon and port else None,
        login=unquote(user),
        password=unquote(password),
        schema=unquote(parts.path.removeprefix("/")),
        extra=json.loads(extra["__extra__"]) if "__extra__" in extra else extra,
    )
