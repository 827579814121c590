"""A house in front of the demo archive, as Airflow's connections describe it, and DAG runs inside the test."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alma_restore import settings
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """The metadata database that `dag.test()` wants."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def archive(demo_archive: Path, tmp_path: Path) -> Path:
    """A copy of the demo archive that a test may damage."""
    return Path(shutil.copytree(demo_archive, tmp_path / "archive", copy_function=shutil.copyfile))


@pytest.fixture
def ngas(archive: Path) -> Iterator[NgasServer]:
    with NgasServer(archive / "ngas") as server:
        yield server


@pytest.fixture
def mails(tmp_path: Path) -> Iterator[MailCatcher]:
    with MailCatcher(tmp_path / "mails") as catcher:
        yield catcher


@pytest.fixture
def home(
    tmp_path: Path,
    archive: Path,
    ngas: NgasServer,
    mails: MailCatcher,
    casa_python: Path,
    monkeypatch: pytest.MonkeyPatch,
    airflow_database: None,
) -> Iterator[Path]:
    """The installation: its folder, with everything around it said in the environment."""
    home = tmp_path / "home"
    smtp = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": mails.port,
        "extra": {"disable_ssl": True, "disable_tls": True},
    }
    variables = {
        "ALMA_RESTORE_HOME": str(home),
        "ALMA_RESTORE_CASA_PYTHON": str(casa_python),
        "ALMA_RESTORE_EXPORTER__COMMAND": json.dumps([sys.executable, "-m", "alma_restore.demo.asdm_export_light"]),
        "ALMA_RESTORE_DISK__SPARE_BYTES": "1000000",
        "ALMA_RESTORE_CASA__POLL_S": "0.1",
        "ALMA_RESTORE_NGAS__TRIES": "2",
        "ALMA_RESTORE_NGAS__RETRY_WAIT_S": "0.01",
        "ALMA_RESTORE_EXPORTER__TRIES": "1",
        "ALMA_EMBEDDED_ARCHIVE": str(archive),
        "AIRFLOW_CONN_ALMA_METADATA": json.dumps(
            {"conn_type": "alma_embedded", "host": str(archive / "metadata.sqlite")}
        ),
        "AIRFLOW_CONN_ALMA_NGAS": json.dumps({"conn_type": "http", "host": ngas.host, "port": ngas.port}),
        "AIRFLOW_CONN_ALMA_SMTP": json.dumps(smtp),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()
    yield home
    settings.settings.cache_clear()


@pytest.fixture
def catalogue(home: Path) -> Catalogue:
    return Catalogue.opened(settings.settings().catalogue)


@pytest.fixture
def dag_of(airflow_database: None) -> Callable[[str], Any]:
    """A DAG of the repository by its id, its retries made quick and few."""
    from datetime import timedelta

    from airflow.dag_processing.dagbag import DagBag

    def load(dag_id: str) -> Any:
        dag = DagBag(dag_folder=str(CHECKOUT / "dags"), bundle_path=CHECKOUT / "dags", bundle_name="dags-folder").dags[
            dag_id
        ]
        for task in dag.tasks:
            task.retry_delay, task.retries = timedelta(seconds=0), min(task.retries, 3)
        return dag

    return load
