"""Transactions on the catalogue's database: SQLite or PostgreSQL, the same behaviour on both."""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, func, make_url, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session, sessionmaker

from alma_restore.errors import NotAvailable

BUSY_TIMEOUT_S = 60
_WRITES = "alma_restore_writes"
_KEEPING_CONNECTIONS: weakref.WeakSet[Engine] = weakref.WeakSet()


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def make_engine(url: str) -> Engine:
    """An engine that survives a fork and any number of threads.

    On a server it keeps one connection for the next transaction: a task has a dozen, and a new connection costs
    PostgreSQL a process. One that went dead meanwhile is replaced.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, poolclass=NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    # Each process would ask the server anew for the number of a type that we do not use (hstore).
    engine = create_engine(parsed, pool_size=1, max_overflow=-1, pool_pre_ping=True, use_native_hstore=False)
    _KEEPING_CONNECTIONS.add(engine)
    return engine


def _forget_connections() -> None:
    """Two processes must not talk over one connection: those of the parent stay its own."""
    for engine in _KEEPING_CONNECTIONS:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)


def reading(engine: Engine) -> Engine:
    """The same engine for transactions that only read.

    PostgreSQL shows each statement what is committed by then, inside a transaction or not: without one, two of three
    round trips are saved. SQLite's transaction is one look at everything, and costs nothing.
    """
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


def looking_once(engine: Engine) -> Engine:
    """The same engine for transactions whose statements all see the same moment."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="REPEATABLE READ")


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(**{_WRITES: True})


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # sqlite3 leaves BEGIN to us
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the one write lock at once: a reader that turns writer half-way could only fail."""
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Store:
    """One database and its transactions.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._readers = sessionmaker(reading(self.engine))
        self._onlookers = sessionmaker(looking_once(self.engine))
        self._writers = sessionmaker(writing(self.engine))

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with self._telling(), self._readers.begin() as session:
            yield session

    @contextmanager
    def _read_one_moment(self) -> Iterator[Session]:
        """For statements that are held against each other while others write."""
        with self._telling(), self._onlookers.begin() as session:
            yield session

    @contextmanager
    def _write(self, lock: str = "") -> Iterator[Session]:
        """A transaction that writes; those under one `lock` never run side by side, in any process."""
        with self._telling(), self._writers.begin() as session:
            if lock:
                take_lock(session, lock)
            yield session

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Tables that are not there, or may not be read, are another class of error on PostgreSQL than on SQLite."""
        try:
            yield
        except (OperationalError, ProgrammingError) as error:
            where = self.engine.url.render_as_string(hide_password=True)
            reason = str(error.orig).strip().partition("\n")[0]  # behind it PostgreSQL quotes the statement
            raise NotAvailable(
                f"The catalogue {where} does not answer: {reason}.",
                remedy="It is tried again; look at the database if this stays.",
            ) from error


def take_lock(session: Session, name: str) -> None:
    """Hold a lock of ours to the end of the transaction; SQLite has one writer at a time anyhow."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(advisory_key(name))))


def advisory_key(name: str) -> int:
    """The number under which PostgreSQL knows a lock of ours."""
    return zlib.crc32(f"alma_restore.{name}".encode())
