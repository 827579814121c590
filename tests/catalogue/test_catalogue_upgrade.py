"""A catalogue that an older release filled is brought to this version: nothing is lost, and everything goes on."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, select

from alma_restore.catalogue.engine import make_engine
from alma_restore.catalogue.schema import Base
from alma_restore.catalogue.store import Catalogue

RELEASES = Path(__file__).parent / "releases"
SPOOL = Path("/srv/alma-restore/spool")


@pytest.fixture(params=sorted(path.name for path in RELEASES.glob("*.sql")))
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database as the older release left it."""
    script = (RELEASES / request.param).read_text()
    if ".sqlite." in request.param:
        with closing(sqlite3.connect(tmp_path / "catalogue.db")) as connection:
            connection.executescript(script)
        return f"sqlite:///{tmp_path}/catalogue.db"
    server = request.getfixturevalue("postgres_url").replace("+psycopg", "")
    name = re.sub(r"\W", "_", request.param)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    url = str(server.rpartition("/")[0]) + f"/{name}"
    with psycopg.connect(url) as connection:
        connection.execute(script)
    return url.replace("postgresql:", "postgresql+psycopg:")


def everything(url: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables, as they stand."""
    engine, found = make_engine(url), MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]
            for table in found.sorted_tables
            if table.name != "alembic_version"
        }


def test_an_upgrade_keeps_every_row_as_it_was(old_url: str) -> None:
    before = everything(old_url)
    Catalogue.opened(old_url)
    after = everything(old_url)
    assert {name: len(rows) for name, rows in before.items() if rows} == {
        name: len(rows) for name, rows in after.items() if rows
    }
    for name, rows in before.items():
        for old, new in zip(rows, after[name], strict=True):
            assert {column: new[column] for column in old} == old
    with make_engine(old_url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_after_an_upgrade_everything_is_read_as_it_was_meant(old_url: str) -> None:
    catalogue = Catalogue.opened(old_url)
    found = {request.correlation_id: request for request in catalogue.find(limit=100).requests}
    states = "accepted cancelled delivered delivered_with_warnings failed refused refused running"
    assert sorted(request.state for request in found.values()) == states.split()
    for request in found.values():
        history = catalogue.history(request.id)
        assert history[0].state == "accepted"
        assert history[-1].state == request.state
        assert history[0].at >= request.created_at
    delivered = found["mous__uid___A001_X2f6_X10__0123abcd"]
    assert [each.stage for each in catalogue.stage_timings(delivered.id)][-3:] == ["run_casa", "verify", "deliver"]
    assert catalogue.history(delivered.id)[-1].note == "Told ada@example.org."
    delivery = catalogue.delivery(delivered.id)
    assert delivery is not None
    assert (delivery.size_bytes, delivery.keep) == (104_857_600_123, True)
    assert delivery.expires_at == datetime(2026, 3, 23, 14, 30, tzinfo=timezone.utc)
    assert found["notebook-7"].warnings[1].startswith("Größe")
    failed = found["f1a4dd4a-73ae-4aa7-ac30-9397d31dadab"]
    assert (failed.error_kind, failed.stage) == ("casa_failed", "run_casa")
    assert failed.log_tail.endswith("naïve\tEnde\n")
    assert failed.asked.casa_version == "5.4.0-68"
    assert catalogue.calibration_counts() == {"": 1, "manual_calibration": 1}
    assert catalogue.cursor("sweep") == "uid://A001/X2f6/X20"
    assert catalogue.reserved_bytes(SPOOL) == 10_000_000


def test_after_an_upgrade_everything_goes_on_where_it_stood(old_url: str) -> None:
    catalogue = Catalogue.opened(old_url)
    (waiting,) = catalogue.waiting_for_a_run()
    assert catalogue.open_request(waiting.asked, waiting.asked.run_id).id == waiting.id
    running = catalogue.by_run_id("restore__running-then")
    failed = catalogue.by_correlation_id("f1a4dd4a-73ae-4aa7-ac30-9397d31dadab")
    assert running is not None
    assert failed is not None
    told = catalogue.last_change()
    assert catalogue.cursor("events.published") == str(told)
    for record in (running, catalogue.reopen(failed.id)):
        catalogue.start_stage(record.id, "deliver")
        assert catalogue.finish(record.id).state == "delivered"
    news = [(change.request.id, change.state) for change in catalogue.changes(after=told)]
    assert (failed.id, "accepted") in news
    assert (running.id, "delivered") in news
