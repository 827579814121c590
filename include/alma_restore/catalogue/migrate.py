"""Bring the catalogue's database to the schema of this version."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Engine, column, func, select, table
from sqlalchemy.exc import DBAPIError, OperationalError

from alma_restore.catalogue.engine import advisory_key, make_engine, reading, writing
from alma_restore.errors import Misconfigured

_MIGRATIONS = Path(__file__).parent / "migrations"


HEAD = "0003"
"""The newest of migrations/versions; told here so that a task need not read them all to know it."""


def migrate(url: str) -> None:
    """Create or upgrade the tables of the database at this URL, as `bring_up_to_date` does."""
    bring_up_to_date(make_engine(url))


def bring_up_to_date(engine: Engine) -> None:
    """Create or upgrade the tables; a database that is current is only looked at.

    Any number of processes may call it at once: one works, the others wait for it.

    Raises:
        Misconfigured: the database cannot be opened, or a newer version of this package has upgraded it.
    """
    if _revision(engine) == HEAD:
        return
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    where = engine.url.render_as_string(hide_password=True)
    try:
        with _alone(engine), writing(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(advisory_key("migrate"))))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise Misconfigured(
            f"The catalogue's database {where} has tables of another version than {HEAD}: {error}.",
            remedy="Run the version of this package that made them, or restore the backup from before the upgrade.",
        ) from error
    except (OperationalError, sqlite3.Error, OSError) as error:
        raise Misconfigured(
            f"The catalogue's database {where} cannot be opened: {getattr(error, 'orig', error)}.",
            remedy="Mend ALMA_RESTORE_CATALOGUE_URL, or start the database.",
        ) from error


def _revision(engine: Engine) -> str:
    """The revision of the tables; empty: they are not there, or cannot be looked at, and the upgrade will say why."""
    if engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists():
        return ""
    try:
        with reading(engine).connect() as connection:
            return str(connection.scalar(select(column("version_num")).select_from(table("alembic_version"))))
    except DBAPIError:
        return ""


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
