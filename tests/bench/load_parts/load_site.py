"""A whole system for load tests: archive, Airflow and catalogue on SQLite or PostgreSQL, all on this machine."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

from load_archive import DAYS, UNTIL, LoadArchive
from servers import postgresql

from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo import environment as demo
from alma_restore.demo.environment import DemoPlace, DemoPorts
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.demo.small_airflow import SmallAirflow, free_port
from alma_restore.settings import Settings

AT_ONCE = {"sqlite": 4, "postgresql": 8}
"""Tasks side by side; as many restores are under way."""


@dataclass(frozen=True)
class LoadSite:
    """The running system.

    Attributes:
        run: its ALMA_RESTORE_HOME.
        catalogue: seen without any faults.
    """

    run: Path
    archive: LoadArchive
    airflow: SmallAirflow
    catalogue: Catalogue
    mails: MailCatcher
    settings: Settings

    def backfill(self) -> None:
        """Have detection look at all the days of the archive, as `alma-restore backfill` does."""
        asked = {
            "dag_id": "detect_calibrations",
            "from_date": (UNTIL - timedelta(days=DAYS)).isoformat(),
            "to_date": (UNTIL + timedelta(days=1)).isoformat(),
            "max_active_runs": 1,
            "reprocess_behavior": "none",
        }
        self._unpause("restore_mous")
        # While detection rests: on SQLite, a scheduler that meets a backfill's half-made runs ends.
        while (answer := self.airflow.api("POST", "backfills", json=asked)).status_code == HTTPStatus.NOT_FOUND:
            time.sleep(0.5)
        answer.raise_for_status()
        self._unpause("detect_calibrations")

    def _unpause(self, dag: str) -> None:
        """As soon as Airflow has read its file."""
        while self.airflow.api("PATCH", f"dags/{dag}", json={"is_paused": False}).status_code != HTTPStatus.OK:
            self.airflow.check_alive()
            time.sleep(0.5)


@contextmanager
def load_site(
    home: Path,
    mous: int,
    database: str,
    *,
    ngas: type[NgasServer] = NgasServer,
    mail_port: int | None = None,
    catalogue_port: int | None = None,
    variables: dict[str, str] | None = None,
    engine_faults: float = 0.0,
) -> Iterator[LoadSite]:
    """Start everything, and stop it.

    Args:
        mous: how many there are to restore.
        ngas: the class of the stand-in.
        variables: environment variables of Airflow, over the usual ones.
        engine_faults: how often the copy engine fails, of one.
    """
    here, ports = DemoPlace(home), DemoPorts(free_port(), free_port(), free_port())
    shutil.rmtree(here.run, ignore_errors=True)
    here.run.mkdir(parents=True)
    archive = LoadArchive(home, mous, Path(os.environ["ALMA_RESTORE_CASA_PYTHON"]))
    archive.register_engine(engine_faults)
    with ExitStack() as stack:
        environment = {
            **demo.environment(here, ports, archive.folder),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__PARALLELISM": str(AT_ONCE[database]),
            "ALMA_RESTORE_LOAD_TEST": "true",
            "ALMA_RESTORE_CASA__INSTALLATIONS": str(archive.installations),
            "ALMA_RESTORE_DETECTION__SCHEDULE": "0 6 * * *",
            "ALMA_RESTORE_DETECTION__WINDOW_DAYS": "2",
            "ALMA_RESTORE_RESTORES_AT_ONCE": str(AT_ONCE[database]),
        }
        template: Path | None = home / f"airflow-{version('apache-airflow')}.db"
        catalogue_url = f"sqlite:///{here.run / 'catalogue.db'}"
        if database == "postgresql":
            server = stack.enter_context(postgresql("airflow", "catalogue"))
            template, catalogue_url = None, f"postgresql+psycopg://{server}/catalogue"
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql+psycopg2://{server}/airflow"
            environment["ALMA_RESTORE_CATALOGUE_URL"] = catalogue_url
        environment |= variables or {}
        mails = stack.enter_context(MailCatcher(here.run / "mails", ports.smtp))
        stack.enter_context(ngas(archive.folder / "ngas", port=ports.ngas))
        airflow = SmallAirflow(here.run / "airflow", template, environment, ports.airflow)
        stack.callback(airflow.stop)
        airflow.migrate()
        migrate(catalogue_url)
        airflow.start()
        airflow.wait_until_healthy()
        settings = Settings(home=here.run)
        yield LoadSite(here.run, archive, airflow, Catalogue(catalogue_url), mails, settings)
