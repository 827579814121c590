"""A connection with the manners of python-oracledb, answered by an embedded archive.

No Oracle server can be installed for tests. What this stands for is checked against the driver itself: whatever we call
or set must exist on its classes and fit its signatures. Binds must be named in the statement and given, both; '' comes
back as NULL, times as datetimes without a zone, chosen columns as LOBs; column names are in upper case; a time is
bound as DATE, cut to its second, unless the cursor was told otherwise.
"""

from __future__ import annotations

import inspect
import re
from contextlib import closing
from datetime import datetime
from pathlib import Path

import oracledb

from alma_restore.archive import embedded

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?")
_MOST_IN_A_LIST = 1000


class _LikeTheDriver:
    """Only what the driver's class has can be set."""

    driver_class: type

    def __setattr__(self, name, value):
        assert name.startswith("_") or hasattr(self.driver_class, name), f"{self.driver_class.__name__} has no {name}"
        super().__setattr__(name, value)


class Lob:
    def __init__(self, content):
        self._content = content

    def read(self):
        return self._content


class OracleLikeCursor(_LikeTheDriver):
    driver_class = oracledb.Cursor

    def __init__(self, connection):
        self._connection = connection
        self._cursor = connection._sqlite.cursor()
        self.arraysize = oracledb.defaults.arraysize
        self.prefetchrows = oracledb.defaults.prefetchrows
        self._timestamps = ()

    def setinputsizes(self, **types):
        assert types, "nothing to set"
        assert set(types.values()) == {oracledb.DB_TYPE_TIMESTAMP}
        self._timestamps = tuple(types)

    def execute(self, *arguments, **keywords):
        called = inspect.signature(oracledb.Cursor.execute).bind(self, *arguments, **keywords).arguments
        statement, binds = called["statement"], called["parameters"]
        _check(statement, binds)
        self._connection._asked.append((statement, binds, self.arraysize, self.prefetchrows))
        if self._connection._fault:
            raise self._connection._fault
        self._cursor.execute(statement, {name: self._bound(name, value) for name, value in binds.items()})
        return self

    def _bound(self, name, value):
        cut_to_date = isinstance(value, datetime) and name not in self._timestamps
        return value.replace(microsecond=0) if cut_to_date else value

    @property
    def description(self):
        return [(name.upper(), *others) for name, *others in self._cursor.description]

    def fetchmany(self, *arguments, **keywords):
        called = inspect.signature(oracledb.Cursor.fetchmany).bind(self, *arguments, **keywords).arguments
        names = [name for name, *_ in self.description]
        rows = self._cursor.fetchmany(called.get("size") or self.arraysize)
        return [tuple(self._cell(name, value) for name, value in zip(names, row, strict=True)) for row in rows]

    def close(self):
        self._cursor.close()

    def _cell(self, name, value):
        if isinstance(value, str) and _ISO.fullmatch(value):
            return datetime.fromisoformat(value)
        if name in self._connection._lobs and value:
            return Lob(value)
        return None if value == "" else value


class OracleLike(_LikeTheDriver):
    """An open connection.

    Args:
        lobs: result columns that come as LOBs.
        fault: what the driver raises on each execute.
    """

    driver_class = oracledb.Connection

    def __init__(self, path: Path, lobs=(), fault=None):
        self._sqlite = embedded.connect(path)
        self._lobs = lobs
        self._fault = fault
        self._asked = []

    def cursor(self):
        return OracleLikeCursor(self)

    def close(self):
        self._sqlite.close()


def _check(statement: str, binds) -> None:
    """What Oracle would refuse or answer otherwise."""
    code = re.sub(r"--[^\n]*|'[^']*'|\"[^\"]*\"", "", statement)
    named = set(re.findall(r":(\w+)", code))
    assert isinstance(binds, dict)
    assert named == set(binds), "ORA-01036: illegal variable name/number"
    assert ";" not in code, "ORA-00933: SQL command not properly ended"
    assert all(part.count(":") <= _MOST_IN_A_LIST for part in re.findall(r"IN \(([^)]*)\)", code)), "ORA-01795"
    for value in binds.values():
        assert type(value) in (str, datetime), f"DPY-3002: Python value of type {type(value)} is not supported"
        assert getattr(value, "tzinfo", None) is None, "a time zone would be dropped silently"


def oracle_like(path: Path, **manners):
    """What `Metadata` takes to connect."""
    return lambda: closing(OracleLike(path, **manners))
