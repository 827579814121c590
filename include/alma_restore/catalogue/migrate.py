"""Bring the catalogue's database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
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
        if engine.dialect.name == "sqlite":
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        with writing(engine).begin() as connection:  # SQLite's one write lock from here on
            if engine.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(advisory_key("migrate"))))
            if not _is_current(connection, config):
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except (OperationalError, OSError) as error:
        where = engine.url.render_as_string(hide_password=True)
        raise Misconfigured(
            f"The catalogue's database {where} cannot be opened: {getattr(error, 'orig', error)}.",
            remedy="Mend ALMA_RESTORE_CATALOGUE_URL, or start the database.",
        ) from error


def _is_current(connection: Connection, config: Config) -> bool:
    heads = ScriptDirectory.from_config(config).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(heads)
