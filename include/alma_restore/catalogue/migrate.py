"""Bring the catalogue's database to the schema of this version."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import OperationalError

from alma_restore.catalogue.engine import advisory_key, make_engine, writing
from alma_restore.errors import Misconfigured

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(url: str) -> None:
    """Create or upgrade the tables; a database that is current is only looked at.

    Any number of processes may call it at once: one works, the others wait for it.

    Raises:
        Misconfigured: the database cannot be opened.
    """
    engine = make_engine(url)
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    try:
        with _alone(engine), writing(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(advisory_key("migrate"))))
            if not _is_current(connection, config):
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except (OperationalError, sqlite3.Error, OSError) as error:
        where = engine.url.render_as_string(hide_password=True)
        raise Misconfigured(
            f"The catalogue's database {where} cannot be opened: {getattr(error, 'orig', error)}.",
            remedy="Mend ALMA_RESTORE_CATALOGUE_URL, or start the database.",
        ) from error


def _is_current(connection: Connection, config: Config) -> bool:
    heads = ScriptDirectory.from_config(config).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Keep a second process from one SQLite file while it is turned to write-ahead logging and migrated.

    SQLite itself answers "database is locked" at once to whoever opens a file that is just being turned; the mode stays
    in the file. PostgreSQL is locked inside the transaction.
    """
    if engine.dialect.name != "sqlite":
        yield
        return
    database = Path(str(engine.url.database))
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        yield
