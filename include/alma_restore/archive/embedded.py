"""The metadata database of an embedded archive: one SQLite file, attached as ALMA, so that Oracle's SQL runs on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path
from typing import Any

from alma_restore.errors import NotAvailable


class _Cursor(sqlite3.Cursor):
    """Takes datetimes as Oracle does; the file holds them as UTC ISO text, which sorts as the times do."""

    def execute(self, sql: str, parameters: Any = ()) -> _Cursor:
        super().execute(sql, _adapted(parameters))
        return self


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        return self.cursor().execute(sql, parameters)


def connect(metadata_sqlite: Path) -> sqlite3.Connection:
    """Open the metadata database of an embedded archive to read.

    LIKE is case-sensitive, as in Oracle. Threads may hand the connection on to each other, as Oracle's driver allows.

    Raises:
        NotAvailable: the file is not there, or is no database.
    """
    connection = sqlite3.connect(":memory:", uri=True, timeout=60, factory=_Connection, check_same_thread=False)
    try:
        connection.execute("ATTACH DATABASE ? AS ALMA", (f"{metadata_sqlite.absolute().as_uri()}?mode=ro",))
        connection.execute("SELECT COUNT(*) FROM ALMA.sqlite_master")
        connection.execute("PRAGMA case_sensitive_like = ON")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise NotAvailable(
            f"The metadata database {metadata_sqlite} cannot be read: {error}.",
            remedy="Make the demo archive with `./run demo`, or mend the connection's path (docs/embedded-archive.md).",
        ) from error
    return connection


def create(metadata_sqlite: Path) -> sqlite3.Connection:
    """Make a new, empty metadata database and open it to write.

    Raises:
        FileExistsError: the file is there already.
    """
    metadata_sqlite.touch(exist_ok=False)
    connection = sqlite3.connect(metadata_sqlite, timeout=60, factory=_Connection)
    connection.executescript(resources.files(__package__).joinpath("embedded_schema.sql").read_text())
    return connection


def iso_text(time: datetime) -> str:
    """A time as the file holds it; one without a zone counts as UTC."""
    if time.tzinfo is not None:
        time = time.astimezone(timezone.utc).replace(tzinfo=None)
    return time.isoformat()


def _adapted(parameters: Any) -> Any:
    def adapt(value: Any) -> Any:
        return iso_text(value) if isinstance(value, datetime) else value

    if isinstance(parameters, Mapping):
        return {name: adapt(value) for name, value in parameters.items()}
    return tuple(map(adapt, parameters))
