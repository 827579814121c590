"""The tables are made once, by whoever comes first, and are those the code expects."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from alma_restore.catalogue import migrate as migration
from alma_restore.catalogue.engine import make_engine
from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.schema import Base
from alma_restore.catalogue.store import Catalogue
from alma_restore.client.reach import reachable_catalogue
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.settings import load


def test_the_migrations_make_what_the_code_expects(url):
    with make_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_the_newest_revision_is_the_one_that_is_looked_for():
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [migration.HEAD]


def test_tables_of_a_newer_version_are_left_alone_and_the_way_back_is_told(url):
    with make_engine(url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match=r"tables of another version than 0003.*9999"):
        Catalogue.opened(url)


def test_a_process_takes_no_connection_from_its_parent(url, side_by_side):
    catalogue = Catalogue.opened(url)
    assert catalogue.find().total == 0
    assert side_by_side(lambda: [catalogue.find().total for _ in range(20)], processes=3) == [[0] * 20] * 3
    assert catalogue.find().total == 0


def test_processes_that_migrate_at_once_all_find_the_tables(empty_url, side_by_side):
    assert side_by_side(lambda: Catalogue.opened(empty_url).find().total, processes=3) == [0, 0, 0]


def test_a_current_database_is_only_looked_at(url, monkeypatch):
    monkeypatch.setattr(migration.command, "upgrade", lambda *_: pytest.fail("upgraded a current database"))
    migrate(url)


def test_a_migration_cut_short_leaves_nothing(empty_url, monkeypatch):
    upgrade = migration.command.upgrade

    def cut_short(*arguments):
        upgrade(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(migration.command, "upgrade", cut_short)
    with pytest.raises(KeyboardInterrupt):
        migrate(empty_url)
    assert inspect(make_engine(empty_url)).get_table_names() == []
    monkeypatch.undo()
    assert Catalogue.opened(empty_url).find().total == 0


def test_a_database_that_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be opened"):
        migrate(f"sqlite:///{tmp_path}/file/catalogue.db")
    with pytest.raises(Misconfigured, match=r"127\.0\.0\.1:1/none cannot be opened"):
        migrate("postgresql+psycopg://alma@127.0.0.1:1/none")


def test_a_catalogue_without_tables_is_out_of_reach(empty_url):
    if empty_url.startswith("sqlite:///"):
        Path(empty_url.removeprefix("sqlite:///")).parent.mkdir()
    _is_out_of_reach(empty_url, because="table|relation")


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_catalogue_that_may_not_be_read_is_out_of_reach(url):
    with make_engine(url).begin() as connection:
        connection.execute(text("CREATE ROLE eve LOGIN"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {connection.scalar(text('SELECT current_schema'))} TO eve"))
    _is_out_of_reach(url.replace("alma@", "eve@"), because="permission denied for table")


def _is_out_of_reach(url, because):
    with pytest.raises(NotAvailable, match=because) as told:
        Catalogue(url).find()
    assert "SELECT" not in told.value.sentence
    assert reachable_catalogue(load(catalogue_url=url)) is None


def test_sqlite_is_set_up_for_many_processes(tmp_path):
    url = f"sqlite:///{tmp_path}/catalogue.db"
    migrate(url)
    with make_engine(url).connect() as connection:
        pragmas = ("journal_mode", "foreign_keys", "busy_timeout")
        assert [connection.scalar(text(f"PRAGMA {pragma}")) for pragma in pragmas] == ["wal", 1, 60_000]
