"""The one-shot service `init`: makes or upgrades both databases, the first log-ins, and the profile file.

Run again at any time: what is there stays, and the databases' passwords become those of the secrets.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from alma_restore.catalogue.migrate import migrate

SECRETS = Path("/run/secrets")
HERE = Path(__file__).parent
LOG_INS = {"admin": "Admin", "events": "User"}
"""The first users and their roles: of the first person, and of the programs at RabbitMQ."""


def secret(name: str) -> str:
    return (SECRETS / name).read_text().strip()


def make_databases() -> None:
    """A database for Airflow and one for the catalogue, each with its owner."""
    host, _, port = os.environ.get("POSTGRES_ADDRESS", "postgres:5432").partition(":")
    with psycopg.connect(
        host=host, port=port, user="postgres", password=secret("postgres_password"), dbname="postgres", autocommit=True
    ) as server:
        for name in ("airflow", "catalogue"):
            role, password = sql.Identifier(name), sql.Literal(secret(f"{name}_db_password"))
            if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                server.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            server.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, password))
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            server.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))


def make_first_log_ins() -> None:
    """The first users, with the passwords of the secrets; others are made in Airflow (Security, Users).

    The password of a program follows its secret; a person's is changed in Airflow.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        manager = builder.sm
        manager.sync_roles()
        for name, role in LOG_INS.items():
            user = manager.find_user(name)
            if user is None:
                manager.add_user(
                    name, "", role, f"{name}@localhost", manager.find_role(role), secret(f"{name}_password")
                )
            elif name != "admin":
                manager.reset_password(user.id, secret(f"{name}_password"))


def make_profile() -> None:
    profile = Path(os.environ["ALMA_RESTORE_PROFILE"])
    if not profile.exists():
        shutil.copyfile(HERE / "profile.toml", profile)


def main() -> None:
    make_profile()
    make_databases()
    subprocess.run(["airflow", "db", "migrate"], check=True)
    migrate(os.environ["ALMA_RESTORE_CATALOGUE_URL"])
    make_first_log_ins()
    slots = os.environ.get("DEFAULT_POOL_SLOTS", "512")
    subprocess.run(["airflow", "pools", "set", "default_pool", slots, "all tasks: workers set the limits"], check=True)


if __name__ == "__main__":
    main()
