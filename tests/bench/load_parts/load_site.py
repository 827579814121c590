"""A whole system for load tests: archive, Airflow and catalogue on SQLite or PostgreSQL, all on this machine."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path

from load_archive import DAYS, UNTIL, LoadArchive, clone
from load_servers import EXPORTER, RATE, FaultyNgas, FaultyProxy
from servers import postgresql
from sqlalchemy import make_url

from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo import environment as demo
from alma_restore.demo.environment import DemoPlace, DemoPorts
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.demo.small_airflow import SmallAirflow, free_port
from alma_restore.settings import Settings
from far_end import FarEnd, far_end

SFTP_SITE = "far_end"
"""The name of Airflow's connection to it."""

DATABASES = {"catalogue": "ALMA_RESTORE_CATALOGUE_URL", "Airflow's database": "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"}
"""The variables with the URLs."""

WITHIN_BYTES = {"SFTP": 1_000_000, "Airflow's database": 40_000}
"""Where what is to break does so later than elsewhere: in the middle of a delivery, or of a scheduler's work."""

TASKS_AT_ONCE = {"sqlite": 4, "postgresql": 8}
RESTORES_AT_ONCE = {"sqlite": 4, "postgresql": 24}
"""More than tasks: a restore waits between two of its tasks, until the scheduler comes round."""


@dataclass(frozen=True)
class LoadSite:
    """The running system.

    Attributes:
        catalogue: seen without any faults.
        far_folder: of the deliveries over SFTP; in a soak alone.
        proxies: through which Airflow and its tasks reach servers in a soak.
        server: the PostgreSQL; empty: there is none.
    """

    archive: LoadArchive
    airflow: SmallAirflow
    catalogue: Catalogue
    mails: MailCatcher
    settings: Settings
    far_folder: Path
    proxies: dict[str, FaultyProxy]
    server: str

    def ask_over_sftp(self, mous: int) -> None:
        """Have half of the MOUSs delivered to the SFTP site.

        Each gets its run under the very id that detection would give it, so that detection finds it asked for already.
        """
        self._unpause("restore_mous")
        for number in over_sftp(mous):
            uid, fingerprint = clone(number).uid, self.archive.fingerprint(number)
            run_id = f"mous__{uid.sanitised}__{fingerprint[:8]}"
            conf = {
                "mous_uid": uid,
                "email": demo.REQUESTER,
                "origin": "backfill",
                "correlation_id": run_id,
                "fingerprint": fingerprint,
                "destination": f"sftp://{SFTP_SITE}/{self.far_folder}",
            }
            run = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
            self.airflow.api("POST", "dags/restore_mous/dagRuns", json=run).raise_for_status()

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


def over_sftp(mous: int) -> range:
    """The numbers of those MOUSs that a soak delivers over SFTP."""
    return range(0, mous, 2)


@contextmanager
def load_site(home: Path, mous: int, database: str, *, soak: bool = False) -> Iterator[LoadSite]:
    """Start everything, and stop it.

    Args:
        mous: how many there are to restore.
        soak: with servers that fail now and then, proxies that can cut connections, an SFTP site, and an Airflow that
            soon misses what was killed.
    """
    here, ports = DemoPlace(home), DemoPorts(free_port(), free_port(), free_port())
    far_folder, proxies = here.run / "far-end" / "incoming", dict[str, FaultyProxy]()
    shutil.rmtree(here.run, ignore_errors=True)
    here.run.mkdir(parents=True)
    archive = LoadArchive(home, mous, Path(os.environ["ALMA_RESTORE_CASA_PYTHON"]))
    archive.register_engine(RATE if soak else 0.0)
    with ExitStack() as stack:
        server = stack.enter_context(postgresql("airflow", "catalogue")) if database == "postgresql" else ""
        database_variables, catalogue_url = _databases(server, here.run)
        mails = stack.enter_context(MailCatcher(here.run / "mails", ports.smtp))
        ngas = FaultyNgas if soak else NgasServer
        stack.enter_context(ngas(archive.folder / "ngas", port=ports.ngas))
        environment = {
            **demo.environment(here, ports, archive.folder),
            **database_variables,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE[database]),
            "ALMA_RESTORE_LOAD_TEST": "true",
            "ALMA_RESTORE_CASA__INSTALLATIONS": str(archive.installations),
            "ALMA_RESTORE_DETECTION__SCHEDULE": "0 6 * * *",
            "ALMA_RESTORE_DETECTION__WINDOW_DAYS": "2",
            "ALMA_RESTORE_RESTORES_AT_ONCE": str(RESTORES_AT_ONCE[database]),
        }
        if soak:
            sftp = stack.enter_context(far_end(far_folder.parent))
            urls = {name: environment[each] for name, each in DATABASES.items() if each in database_variables}
            proxies = stack.enter_context(_proxies(ports.smtp, sftp.port, urls))
            environment |= _trouble(proxies, sftp, far_folder, urls)
        template = home / f"airflow-{version('apache-airflow')}.db" if database == "sqlite" else None
        airflow = SmallAirflow(here.run / "airflow", template, environment, ports.airflow)
        stack.callback(airflow.stop)
        airflow.migrate()
        migrate(catalogue_url)
        airflow.start()
        airflow.wait_until_healthy()
        catalogue, settings = Catalogue(catalogue_url), Settings(home=here.run)
        yield LoadSite(archive, airflow, catalogue, mails, settings, far_folder, proxies, server)


def _databases(server: str, run: Path) -> tuple[dict[str, str], str]:
    """Airflow's variables for its database and ours, and the URL of ours."""
    if not server:
        return {}, f"sqlite:///{run / 'catalogue.db'}"
    url = f"postgresql+psycopg://{server}/catalogue"
    return on_postgresql(server) | {"ALMA_RESTORE_CATALOGUE_URL": url}, url


def on_postgresql(server: str) -> dict[str, str]:
    """Airflow's variables for a database on this server."""
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{server}/airflow",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",  # Airflow's own; the laptop's is for few restores
    }


@contextmanager
def _proxies(smtp: int, sftp: int, urls: dict[str, str]) -> Iterator[dict[str, FaultyProxy]]:
    """One for each of the servers, which cuts nothing yet."""
    ports = {"mail": smtp, "SFTP": sftp, **{name: make_url(url).port for name, url in urls.items()}}
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(FaultyProxy(port, WITHIN_BYTES.get(name, 4000))) for name, port in ports.items()
        }


def _trouble(proxies: dict[str, FaultyProxy], sftp: FarEnd, far_folder: Path, urls: dict[str, str]) -> dict[str, str]:
    """Variables of a soak: what leads to the servers goes through the proxies."""
    host = {name: {"host": "127.0.0.1", "port": proxy.port} for name, proxy in proxies.items()}
    plain = {"disable_ssl": True, "disable_tls": True}
    kind, key, *_ = (sftp.folder / "host_key.pub").read_text().split()
    keys = {"key_file": str(sftp.client_key), "host_key": f"{kind} {key}"}
    databases = {DATABASES[name]: make_url(url).set(**host[name]) for name, url in urls.items()}
    return {
        **{variable: url.render_as_string(hide_password=False) for variable, url in databases.items()},
        "AIRFLOW_CONN_ALMA_SMTP": json.dumps({"conn_type": "smtp", **host["mail"], "extra": plain}),
        f"AIRFLOW_CONN_{SFTP_SITE.upper()}": json.dumps(
            {"conn_type": "sftp", **host["SFTP"], "login": getpass.getuser(), "extra": keys}
        ),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_RECYCLE": "20",  # s; kept for ever, there would be few to cut
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "ALMA_RESTORE_DELIVERY__SFTP_ROOTS": json.dumps([f"sftp://{SFTP_SITE}/{far_folder}"]),
        "ALMA_RESTORE_EXPORTER__COMMAND": json.dumps([sys.executable, str(EXPORTER)]),
    }
