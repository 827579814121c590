"""A live Airflow with real log-ins, the archive page in it, and the demo archive behind it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from alma_restore.catalogue import migrate
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo import environment as demo
from alma_restore.demo.environment import DemoPlace, DemoPorts
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.demo.small_airflow import SmallAirflow, free_port

CHROMIUM = os.environ.get("ALMA_RESTORE_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
"""How Chromium runs inside a container, asking nobody but our Airflow."""

USERS = {"admin": "ADMIN", "requester": "USER", "viewer": "VIEWER"}


@dataclass
class LiveAirflow:
    """A running Airflow with users who log in."""

    airflow: SmallAirflow
    catalogue: Catalogue
    passwords: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.airflow.port}"

    def token(self, user: str) -> str:
        """What a program logs in with."""
        import httpx

        answer = httpx.post(f"{self.url}/auth/token", json={"username": user, "password": self.passwords[user]})
        return str(answer.json()["access_token"])


@contextmanager
def live_airflow(home: Path, archive: Path, cache: Path, casa_python: Path) -> Iterator[LiveAirflow]:
    """Start an Airflow in which only `restore_mous` is on, so that nothing happens unless somebody asks.

    Args:
        home: an empty folder for all of it.
        archive: an embedded archive.
        cache: where a migrated database of Airflow is kept for the next time.
    """
    here = DemoPlace(home)
    here.run.mkdir(parents=True)
    ports = DemoPorts(free_port(), free_port(), free_port())
    passwords = here.run / "passwords.json"
    variables = {
        **demo.environment(here, ports, archive),
        "ALMA_RESTORE_CASA_PYTHON": str(casa_python),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
    }
    airflow = SmallAirflow(
        here.run / "airflow", cache / f"airflow-{version('apache-airflow')}.db", variables, ports.airflow
    )
    catalogue_url = f"sqlite:///{here.run / 'catalogue.db'}"
    with MailCatcher(here.run / "mails", ports.smtp), NgasServer(archive / "ngas", port=ports.ngas):
        try:
            airflow.migrate()
            migrate.migrate(catalogue_url)
            airflow.start()
            airflow.wait_until_healthy()
            live = LiveAirflow(airflow, Catalogue(catalogue_url), json.loads(passwords.read_text()))
            _switch_on(live)
            yield live
        finally:
            airflow.stop()


def _switch_on(live: LiveAirflow) -> None:
    """Let `restore_mous` go, as soon as Airflow has read its file."""
    deadline = time.monotonic() + 60
    headers = {"Authorization": f"Bearer {live.token('admin')}"}
    while time.monotonic() < deadline:
        answer = live.airflow.api("PATCH", "dags/restore_mous", json={"is_paused": False}, headers=headers)
        if answer.status_code == 200:
            return
        time.sleep(0.3)
    raise AssertionError(f"Airflow does not find restore_mous: {answer.text}")
