"""How the metadata are asked over Oracle's own driver: binds, fetch sizes, round trips, time-outs, errors."""

from __future__ import annotations

import socket
import sqlite3
import time
from contextlib import closing
from datetime import timedelta

import oracledb
import pytest
from made_mous import DELIVERED, mous, mous_uid, write
from oracle_like import OracleLike, oracle_like

from alma_restore.archive import oracle
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.queries import ROWS_AT_ONCE, answering
from alma_restore.errors import Misconfigured, NotAvailable

DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "metadata.sqlite", *(mous(number) for number in range(1, 61)))


@pytest.fixture
def connection(path):
    """A connection that stays open, so that a test can look at what was asked."""
    with closing(OracleLike(path)) as connection:
        yield connection


class StaysOpen:
    def __init__(self, connection):
        self._connection = connection

    def __enter__(self):
        return self._connection

    def __exit__(self, *_):
        pass


@pytest.mark.parametrize("asked", ["window", "sweep"])
def test_many_mous_are_asked_together_in_few_round_trips(connection, asked):
    metadata = Metadata(lambda: StaysOpen(connection))
    found = (
        metadata.calibrated_between(DELIVERED, DELIVERED + DAY) if asked == "window" else metadata.all_calibrations()
    )
    assert len(list(found)) == 60
    statements = [statement for statement, *_ in connection._asked]
    assert len(statements) == 6, "one for each table and one that lists the MOUSs"
    assert {(arraysize, prefetchrows) for *_, arraysize, prefetchrows in connection._asked} == {
        (ROWS_AT_ONCE, ROWS_AT_ONCE)
    }


def test_lists_of_any_length_are_few_statements_to_the_database(connection):
    metadata = Metadata(lambda: StaysOpen(connection))
    for hours in range(1, 40):
        list(metadata.calibrated_between(DELIVERED, DELIVERED + timedelta(hours=hours)))
        metadata.product_files(mous_uid(hours))
    assert len({statement for statement, *_ in connection._asked}) <= 8


def test_keys_are_bound_in_both_spellings_of_a_uid(connection):
    Metadata(lambda: StaysOpen(connection)).product_files(mous_uid(1))
    ((statement, binds, *_),) = connection._asked
    assert "uid://" not in statement
    assert set(binds.values()) == {"uid://A001/X1/X1", "uid://A001/X1/X1".ljust(64)}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (oracledb.OperationalError("DPY-4024: call timeout of 300000 ms exceeded"), NotAvailable),
        (oracledb.OperationalError("DPY-6005: cannot connect to database"), NotAvailable),
        (oracledb.InterfaceError("DPY-1001: not connected to database"), NotAvailable),
        (oracledb.DatabaseError("ORA-01555: snapshot too old"), NotAvailable),
        (oracledb.DatabaseError("ORA-12516: no matching handler"), NotAvailable),
        (oracledb.DatabaseError("ORA-00942: table or view does not exist"), Misconfigured),
        (oracledb.DatabaseError("ORA-01031: insufficient privileges"), Misconfigured),
        (oracledb.DatabaseError('ORA-00904: "PRODUCT"."FILE_CLASS": invalid identifier'), Misconfigured),
    ],
)
def test_the_drivers_errors_become_ours_and_name_the_query(path, fault, expected):
    metadata = Metadata(oracle_like(path, fault=fault))
    with pytest.raises(expected) as told:
        metadata.product_files(mous_uid(1))
    assert "product_files.sql" in told.value.sentence
    assert str(fault) in told.value.sentence
    assert told.value.__cause__ is fault
    with pytest.raises(expected, match=r"delivered_mous\.sql"):
        next(metadata.calibrated_between(DELIVERED, DELIVERED + DAY))


def test_a_wrong_password_is_misconfigured():
    def denied():
        raise oracledb.DatabaseError("ORA-01017: invalid credential or not authorized; logon denied")

    with pytest.raises(Misconfigured, match="our log-in: ORA-01017"):
        Metadata(denied).product_files(mous_uid(1))


@pytest.mark.parametrize("error", [sqlite3.OperationalError, sqlite3.InterfaceError, sqlite3.DatabaseError])
def test_any_drivers_errors_count(error):
    with pytest.raises(NotAvailable, match="did not answer it: locked"), answering("it"):
        raise error("locked")


def test_other_errors_are_not_the_databases():
    with pytest.raises(ZeroDivisionError), answering("it"):
        raise ZeroDivisionError


def test_a_connection_gives_up_on_a_silent_call(path):
    connection = oracle.opened(lambda: OracleLike(path), call_timeout_s=1.5)
    with closing(connection):
        assert connection.call_timeout == 1500


def test_a_database_that_accepts_and_stays_silent_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dsn = f"127.0.0.1:{silent.getsockname()[1]}/archive"
        started = time.monotonic()
        with pytest.raises(NotAvailable, match=r"within 0\.5 s"):
            oracle.connect(dsn, "reader", "secret", login_timeout_s=0.5)
        assert time.monotonic() - started < 5


def test_a_database_that_is_down_is_not_available_and_keeps_the_password_to_itself():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dsn = f"127.0.0.1:{gone.getsockname()[1]}/archive"
    metadata = Metadata(lambda: closing(oracle.connect(dsn, "reader", "secret", login_timeout_s=20)))
    with pytest.raises(NotAvailable, match="our log-in: DPY-6005") as told:
        metadata.product_files(mous_uid(1))
    assert "secret" not in str(told.value)


def test_a_wallet_is_handed_to_the_driver(monkeypatch, path):
    handed = {}
    monkeypatch.setattr(oracledb, "connect", lambda **settings: handed.update(settings) or OracleLike(path))
    with closing(oracle.connect("archive_low", "reader", "secret", wallet="/etc/wallet", wallet_password="word")):
        assert handed == {
            "dsn": "archive_low",
            "user": "reader",
            "password": "secret",
            "config_dir": "/etc/wallet",
            "wallet_location": "/etc/wallet",
            "wallet_password": "word",
        }
    oracle.connect("h:1521/s", "reader", "secret").close()
    assert handed["dsn"] == "h:1521/s"
