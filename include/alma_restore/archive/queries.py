"""Runs the package's .sql files on any PEP 249 connection: Oracle's, or SQLite with a file attached as ALMA.

A query reads one table by one key; what belongs together is joined in Python, by stripped text. So keys meet whether a
column is CHAR (blank-padded) or VARCHAR2, and each query is a look-up in an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any, Protocol, TypeVar

from alma_restore.errors import Corrupt, Misconfigured, NotAvailable

CHAR_WIDTH = 64
"""Width of the CHAR columns that hold uids (DOMAIN section 3)."""

KEYS_AT_ONCE = 400
"""Keys of one IN list. Each is bound in two spellings; Oracle takes 1000 values, old SQLite 999 binds."""

ROWS_AT_ONCE = 2000
"""Rows of one round trip to the database."""

_LIST_SIZES = (1, 10, 100, KEYS_AT_ONCE)
_LIST = re.compile(r"IN \(:(\w+)\)")
_UNFIT = re.compile(r"ORA-(00942|01031|00904|01017|28000|28001|01045)|no such (table|column)")

T = TypeVar("T")


class Cursor(Protocol):
    arraysize: int

    def execute(self, statement: str, parameters: Any, /) -> Any: ...
    def fetchmany(self, size: int, /) -> Sequence[Sequence[Any]]: ...
    def close(self) -> None: ...


class Connection(Protocol):
    """What we need of a PEP 249 connection."""

    def cursor(self) -> Any: ...


class Queries:
    """The queries of one open connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, query: str, **binds: Any) -> Iterator[Sequence[Any]]:
        """Stream the rows of `query`.sql.

        Raises:
            NotAvailable: the database does not answer.
            Misconfigured: it refuses the log-in or does not show us a table.
        """
        yield from self._stream(query, _text(query), binds)

    def rows_of(self, query: str, keys: Iterable[str]) -> Iterator[Sequence[Any]]:
        """Stream the rows of `query`.sql for many keys, which stand for the list bind of its IN.

        Raises: as `rows`.
        """
        for some in batches(dict.fromkeys(keys), KEYS_AT_ONCE):
            statement, binds = _with_list(_text(query), some)
            yield from self._stream(query, statement, binds)

    def _stream(self, query: str, statement: str, binds: dict[str, Any]) -> Iterator[Sequence[Any]]:
        with answering(f"{query}.sql"):
            cursor: Cursor = self._connection.cursor()
            cursor.arraysize = ROWS_AT_ONCE
            bindable = {name: _bindable(value) for name, value in binds.items()}
            if hasattr(cursor, "prefetchrows"):
                _tune_oracle(cursor, bindable)
            cursor.execute(statement, bindable)
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield from rows
            cursor.close()  # one that is not read to its end goes with its connection


@contextmanager
def answering(asked: str) -> Iterator[None]:
    """Turn any driver's PEP 249 errors into ours; `asked` names the query in the sentence."""
    try:
        yield
    except Exception as error:
        if not any(cls.__name__ == "Error" for cls in type(error).__mro__):  # PEP 249: the base of a driver's errors
            raise
        reason = " ".join(str(error).split())
        if _UNFIT.search(reason):
            raise Misconfigured(
                f"The metadata database does not let us ask {asked}: {reason}.",
                remedy="Check log-in, grants and schema (docs/oracle.md).",
            ) from error
        raise NotAvailable(
            f"The metadata database did not answer {asked}: {reason}.",
            remedy="It is asked again later; `alma-restore doctor` checks the connection.",
        ) from error


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut a stream into lists of at most `size`."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def text(value: Any) -> str:
    """A text column without padding; NULL, which is Oracle's '', gives ''. A LOB is read."""
    if not isinstance(value, str) and hasattr(value, "read"):
        value = value.read()
    return "" if value is None else str(value).strip()


def utc(value: Any) -> datetime | None:
    """A DATE or TIMESTAMP column, or SQLite's ISO text for it, as a time in UTC.

    Raises:
        Corrupt: a text that is no time.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError as error:
            raise Corrupt(
                f"The metadata database holds {value!r} where a time belongs.",
                remedy="Write times in UTC, like 2018-09-21T14:17:00 (docs/embedded-archive.md).",
            ) from error
    if value is None:
        return None
    time: datetime = value
    return time.replace(tzinfo=timezone.utc) if time.tzinfo is None else time.astimezone(timezone.utc)


@cache
def _text(query: str) -> str:
    return resources.files(__package__).joinpath("sql", f"{query}.sql").read_text()


def _with_list(statement: str, keys: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Write out the list bind, each key as VARCHAR2 and as CHAR columns spell it.

    The last key is repeated up to one of few sizes, so that the database sees few different statements.
    """
    before, name, after = _LIST.split(statement)
    size = next(size for size in _LIST_SIZES if size >= len(keys))
    binds = {}
    for number, key in enumerate([*keys, *[keys[-1]] * (size - len(keys))]):
        binds[f"{name}_{number}"] = str(key)
        binds[f"{name}_{number}_padded"] = key.ljust(CHAR_WIDTH)
    listed = ", ".join(f":{bind}" for bind in binds)
    return f"{before}IN ({listed}){after}", binds


def _tune_oracle(cursor: Any, binds: dict[str, Any]) -> None:
    """Have the first rows come with the answer to execute, and no time cut to its second.

    The driver binds times as DATE. That suits the index on a DATE and on a TIMESTAMP column alike, so it is left so
    where there is no fraction of a second to lose.
    """
    import oracledb

    cursor.prefetchrows = ROWS_AT_ONCE
    fractions = {name for name, value in binds.items() if isinstance(value, datetime) and value.microsecond}
    if fractions:
        cursor.setinputsizes(**dict.fromkeys(fractions, oracledb.DB_TYPE_TIMESTAMP))


def _bindable(value: Any) -> Any:
    """Times are bound without a zone, in UTC, as the database's columns are."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(timezone.utc).replace(tzinfo=None)
    return value
