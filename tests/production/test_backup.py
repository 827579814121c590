"""Backup, restore and rollback by the commands that docs/deployment.md prints, as they stand, on a real PostgreSQL."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import yaml
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from servers import postgresql

from alma_restore.catalogue.engine import make_engine
from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.schema import Base
from alma_restore.catalogue.store import Catalogue
from alma_restore.request import RestoreRequest

CHECKOUT = Path(__file__).parents[2]
DATABASES = ("airflow", "catalogue")
RELEASES = sorted((CHECKOUT / "tests" / "catalogue" / "releases").glob("*.postgresql.sql"))
AIRFLOW_THEN = "CREATE TABLE dag_run (id integer PRIMARY KEY); INSERT INTO dag_run VALUES (1)"
AIRFLOW_SINCE = "CREATE TABLE newer (dag_run integer REFERENCES dag_run); INSERT INTO newer VALUES (1)"
"""Airflow's database in miniature: a newer release's table holds on to an older one's."""

DOCKER = """#!/bin/sh
[ "$1 $2 $3 $4" = "compose exec -T postgres" ] || { echo "not here: docker $*" >&2; exit 64; }
shift 4
exec "$@"
"""
"""Stands in for the engine: what the service postgres is told to do is done here, with PostgreSQL's own programs."""


def commands(about: str) -> str:
    """The one block of commands in docs/deployment.md that has these words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (CHECKOUT / "docs" / "deployment.md").read_text(), re.M | re.S)
    (found,) = [block for block in blocks if about in block]
    return str(found)


BACKUP, RESTORE, UPGRADE = commands("pg_dump"), commands("pg_restore"), commands("git checkout")


@dataclass
class Installation:
    """A PostgreSQL with its databases as `init` makes them, and a folder for backups."""

    address: str
    folder: Path
    environment: dict[str, str]

    @property
    def url(self) -> str:
        """Of the catalogue, for its owner."""
        return f"postgresql+psycopg://catalogue@{self.address}/catalogue"

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        shell = ["sh", "-ec", script]
        return subprocess.run(shell, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def succeed(self, script: str) -> None:
        done = self.run(script)
        assert done.returncode == 0, done.stderr

    def execute(self, database: str, script: str) -> None:
        with psycopg.connect(f"postgresql://{database}@{self.address}/{database}") as connection:
            connection.execute(script)

    def contents(self) -> dict[str, str]:
        """All of both databases: tables, owners, rows. The key that pg_dump makes for its own output is left out."""
        dumps = {name: self.run(f"pg_dump -U postgres {name}").stdout for name in DATABASES}
        assert all(dumps.values())
        return {name: re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.M) for name, dump in dumps.items()}


Install = Callable[[], AbstractContextManager[Installation]]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Starts a PostgreSQL and prepares it; all have one folder for backups."""
    secrets, programs, backups = (tmp_path / name for name in ("secrets", "programs", "backups"))
    subprocess.run([CHECKOUT / "docker" / "make-secrets.sh", secrets], check=True, capture_output=True)
    monkeypatch.syspath_prepend(CHECKOUT / "docker")
    prepare = importlib.import_module("prepare")
    monkeypatch.setattr(prepare, "SECRETS", secrets)
    programs.mkdir()
    backups.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)

    @contextmanager
    def installation() -> Iterator[Installation]:
        with postgresql() as server:
            address = server.partition("@")[2]
            host, _, port = address.partition(":")
            with psycopg.connect(f"postgresql://{server}/postgres", autocommit=True) as connection:
                connection.execute("CREATE ROLE postgres SUPERUSER LOGIN")  # the image's
            monkeypatch.setenv("POSTGRES_ADDRESS", address)
            prepare.make_databases()
            newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))[-1].parent
            path = os.pathsep.join([str(programs), str(newest), os.environ["PATH"]])
            yield Installation(address, backups, {"PATH": path, "PGHOST": host, "PGPORT": port})

    return installation


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, install: Install) -> Iterator[Installation]:
    """What an older release left, backed up."""
    with install() as installation:
        installation.execute("catalogue", request.param.read_text())
        installation.execute("airflow", AIRFLOW_THEN)
        installation.succeed(BACKUP)
        yield installation


def use_newer_release(installation: Installation) -> None:
    """Upgrade, carry on what was accepted, and take something new."""
    catalogue = Catalogue.opened(installation.url)
    (waiting,) = catalogue.waiting_for_a_run()
    catalogue.open_request(waiting.asked, waiting.asked.run_id)
    catalogue.join(waiting.id, "bob", "bob@example.org")
    catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X12d1/X23e", requested_by="since the upgrade"))
    catalogue.engine.dispose()
    installation.execute("airflow", AIRFLOW_SINCE)


def test_a_rollback_brings_back_both_databases_as_they_were(old: Installation) -> None:
    before = old.contents()
    use_newer_release(old)
    newer = old.contents()
    assert all("since the upgrade" in newer["catalogue"] and newer[name] != before[name] for name in DATABASES)
    old.succeed(RESTORE)
    assert old.contents() == before


def test_what_was_rolled_back_is_upgraded_again_and_goes_on(old: Installation) -> None:
    use_newer_release(old)
    old.succeed(RESTORE)
    use_newer_release(old)
    with make_engine(old.url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    askers = [request.requested_by for request in Catalogue(old.url).find(limit=100).requests]
    assert askers.count("since the upgrade") == 1


def test_a_backup_comes_back_in_an_empty_system(old: Installation, install: Install) -> None:
    with install() as empty:
        migrate(empty.url)
        empty.succeed(RESTORE)
        assert empty.contents() == old.contents()
        use_newer_release(empty)


def test_a_service_that_was_forgotten_does_not_hold_a_restore_up(old: Installation) -> None:
    before = old.contents()
    use_newer_release(old)
    with psycopg.connect(f"postgresql://catalogue@{old.address}/catalogue") as service:
        service.execute("SELECT * FROM follower")
        old.succeed(RESTORE)
        with pytest.raises(psycopg.OperationalError):
            service.execute("SELECT * FROM follower")
    assert old.contents() == before


@pytest.mark.parametrize("lost", ["dropdb -U postgres {}", "dropdb -U postgres {0}; createdb -U postgres -O {0} {0}"])
def test_a_restore_that_was_cut_short_is_run_again(old: Installation, lost: str) -> None:
    before = old.contents()
    old.succeed(lost.format("catalogue"))
    old.succeed(RESTORE)
    assert old.contents() == before


def test_a_dump_that_is_not_whole_costs_nothing(old: Installation) -> None:
    use_newer_release(old)
    newer = old.contents()
    dump = old.folder / "catalogue.dump"
    dump.write_bytes(dump.read_bytes()[:-1])
    assert old.run(RESTORE).returncode != 0
    assert old.contents() == newer


def test_a_restore_that_fails_half_way_leaves_no_half(old: Installation) -> None:
    """Here because an owner is missing, as where `init` has not run."""
    old.succeed("psql -qU postgres -c 'CREATE ROLE stranger' -c 'ALTER TABLE request OWNER TO stranger' catalogue")
    old.succeed(BACKUP)
    old.succeed("psql -qU postgres -c 'REASSIGN OWNED BY stranger TO catalogue' -c 'DROP ROLE stranger' catalogue")
    assert old.run(RESTORE).returncode != 0
    assert "CREATE TABLE" not in old.contents()["catalogue"]


def test_an_upgrade_stops_whatever_uses_a_database_before_it_is_backed_up() -> None:
    before, backup, after = UPGRADE.partition("# back up both databases\n")
    assert backup
    assert "stop" not in after
    lines = [line.partition("#")[0].split() for line in before.splitlines()]
    assert all(line[:2] == ["docker", "compose"] and "stop" in line for line in lines)
    first, workers, others = [set(line[line.index("stop") + 1 :]) for line in lines]
    services = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())["services"]
    lasting = {name for name, service in services.items() if service["restart"] == "unless-stopped"}
    using = {name for name in lasting if "catalogue_db_password" in services[name].get("secrets", [])}
    assert first | workers | others == using
    assert workers == {name for name in using if name.startswith("worker-")}
    assert first == {"scheduler", "triggerer"}, "tasks come to an end only when no new ones are made"
    assert "api-server" in others, "running tasks report to it"
