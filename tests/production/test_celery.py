"""The production engines, without containers: CeleryExecutor, PostgreSQL for both databases, Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from servers import WAIT_LIMIT_S, Running, postgresql, redis
from traces import files_with, processes_with, tables_with, task_lines

from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo import environment as demo
from alma_restore.demo.environment import DemoPlace, DemoPorts
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.demo.small_airflow import SmallAirflow, free_port

MOUS_UID = "uid://A001/X1284/X266"  # of one execution block
CASA_WORKER = "celery worker --queues casa --concurrency 1 --skip-serve-logs --celery-hostname casa@%h"
OTHER_WORKER = "celery worker --queues default,archive --concurrency 2 --skip-serve-logs --celery-hostname other@%h"
SECRETS = {name: f"{name}-that-nobody-may-see" for name in ("database", "catalogue", "ngas", "metadata", "jwt")}
STAGES = {"open_request": {"open_request", "prepare_workspace"}, "write_ppr": {"stage", "write_ppr"}}
"""The stages of tasks that have another one than that of their own name."""
OURS = ("alma_restore", "airflow.task.operators")
"""Loggers that write during a stage: our modules, and CASA through its operator."""

COMPONENTS = ("api-server", "scheduler", "dag-processor", OTHER_WORKER, CASA_WORKER)


@dataclass
class Production(Running):
    """The running system."""

    catalogue: Catalogue
    mails: MailCatcher
    run: Path
    databases: tuple[str, str]

    def task(self, run_id: str, task_id: str) -> dict[str, Any]:
        path = f"dags/restore_mous/dagRuns/{run_id}/taskInstances/{task_id}"
        return dict(self.airflow.api("GET", path).json())


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory, demo_archive: Path, casa_python: Path) -> Iterator[Production]:
    here = DemoPlace(tmp_path_factory.mktemp("celery"))
    ports = DemoPorts(free_port(), free_port(), free_port())
    here.run.mkdir(parents=True)
    with ExitStack() as stack:
        database = stack.enter_context(postgresql("airflow", "catalogue"))
        broker = stack.enter_context(redis())
        mails = stack.enter_context(MailCatcher(here.run / "mails", ports.smtp))
        stack.enter_context(NgasServer(demo_archive / "ngas", port=ports.ngas))
        catalogue_url = f"postgresql+psycopg://{with_password(database, 'catalogue')}/catalogue"
        database = with_password(database, "database")
        ngas = {"conn_type": "http", "host": "127.0.0.1", "port": ports.ngas, "login": "alma"}
        metadata = {"conn_type": "alma_embedded", "host": str(demo_archive / "metadata.sqlite")}
        variables = {
            **demo.environment(here, ports, demo_archive),
            "AIRFLOW_CONN_ALMA_NGAS": json.dumps({**ngas, "password": SECRETS["ngas"]}),
            "AIRFLOW_CONN_ALMA_METADATA": json.dumps({**metadata, "password": SECRETS["metadata"]}),
            "AIRFLOW__API_AUTH__JWT_SECRET": SECRETS["jwt"] * 3,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}/airflow",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://{database}/airflow",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "8",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "1",
            "ALMA_RESTORE_CATALOGUE_URL": catalogue_url,
            "ALMA_RESTORE_CASA_PYTHON": str(casa_python),
            "ALMA_RESTORE_KEEP_WORKSPACE": "always",
            "ALMA_RESTORE_QUEUES__ARCHIVE": "archive",
            "ALMA_RESTORE_QUEUES__CASA": "casa",
        }
        airflow = SmallAirflow(here.run / "airflow", None, variables, ports.airflow, COMPONENTS)
        stack.callback(airflow.stop)
        airflow.migrate()
        migrate(catalogue_url)
        airflow.start()
        airflow.wait_until_healthy()
        databases = (variables["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], catalogue_url)
        yield Production(airflow, Catalogue(catalogue_url), mails, here.run, databases)


def with_password(database: str, name: str) -> str:
    """An address with a password, which this server does not look at."""
    return database.replace("@", f":{SECRETS[name]}@")


def casa_processes(workspace: Path) -> list[psutil.Process]:
    """The processes of CASA runs in this workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ALMA_RESTORE_JOB", "").startswith(str(workspace)):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def until_casa_runs(production: Production) -> tuple[str, RequestRecord]:
    """Ask for a restore, and wait until its CASA is at work; its run and its request."""
    airflow, catalogue = production.airflow, production.catalogue
    unpause = {"json": {"is_paused": False}}
    production.wait("the DAG", lambda: airflow.api("PATCH", "dags/restore_mous", **unpause).status_code == 200)
    conf = {"mous_uid": MOUS_UID, "email": demo.REQUESTER}
    run_id = airflow.api("POST", "dags/restore_mous/dagRuns", json={"logical_date": None, "conf": conf}).json()[
        "dag_run_id"
    ]
    record = production.wait(
        "CASA", lambda: (it := catalogue.by_run_id(run_id)) and it.stage == "run_casa" and it.workspace and it
    )
    production.wait("CASA's process", lambda: casa_processes(Path(record.workspace)))
    return run_id, record


@pytest.mark.timeout(900)
def test_a_worker_that_is_told_to_stop_finishes_its_casa_first(production: Production) -> None:
    """As an upgrade stops it (docs/deployment.md)."""
    airflow, catalogue = production.airflow, production.catalogue
    run_id, record = until_casa_runs(production)

    assert airflow.stop_component(CASA_WORKER, limit_s=WAIT_LIMIT_S) == 0

    assert not casa_processes(Path(record.workspace))
    assert production.task(run_id, "run_casa/0")["state"] == "success"
    airflow.start_component(CASA_WORKER)
    production.wait("the end of the request", lambda: catalogue.get(record.id).ended)
    assert catalogue.get(record.id).state == "delivered", catalogue.get(record.id).reason
    assert production.task(run_id, "run_casa/0")["try_number"] == 1


@pytest.mark.timeout(900)
def test_casa_outlives_its_celery_worker_and_runs_once(production: Production) -> None:
    airflow, catalogue = production.airflow, production.catalogue
    told = len(production.mails.mails())
    run_id, record = until_casa_runs(production)
    workspace = Path(record.workspace)
    assert processes_with(SECRETS.values()) == []

    airflow.kill_component(CASA_WORKER)

    assert casa_processes(workspace), "CASA ended with its worker"
    airflow.start_component(CASA_WORKER)
    production.wait("the end of the request", lambda: catalogue.get(record.id).ended)
    production.wait("the mail", lambda: len(production.mails.mails()) > told)

    assert catalogue.get(record.id).state == "delivered", catalogue.get(record.id).reason
    assert [folder.name for folder in workspace.glob("Logs/attempt-*")] == ["attempt-1"]
    assert production.task(run_id, "run_casa/0")["try_number"] == 2
    queues = {task: production.task(run_id, task)["queue"] for task in ("open_request", "fetch_products", "run_casa/0")}
    assert queues == {"open_request": "default", "fetch_products": "archive", "run_casa/0": "casa"}
    urgency = [production.task(run_id, task)["priority_weight"] for task in ("open_request", "write_ppr", "deliver")]
    assert urgency == sorted(set(urgency)), "what has begun is finished before another begins"
    delivery = Path(catalogue.delivery(record.id).path)
    assert json.loads((delivery / "restore.json").read_text())["mous_uid"] == MOUS_UID
    assert list(delivery.rglob("*.ms"))
    assert not casa_processes(workspace)

    check_that_no_secret_is_left(production)
    check_that_every_line_tells_what_it_is_about(production, run_id, record.id)


def check_that_no_secret_is_left(production: Production) -> None:
    """In no log, workspace, delivery, mail, and no table of either database: params, XCom, rendered fields."""
    assert files_with(SECRETS.values(), production.run) == []
    for url in production.databases:
        assert tables_with(SECRETS.values(), url) == []


def check_that_every_line_tells_what_it_is_about(production: Production, run_id: str, request_id: str) -> None:
    """CASA's lines included; what Airflow writes before and after a stage is about the task alone."""
    said: dict[str, list[str]] = {}
    for task_id, line in task_lines(production.run / "airflow" / "logs", run_id):
        if "request_id" in line:
            assert line["request_id"] == request_id
            assert line["mous_uid"] == MOUS_UID
            assert line["stage"] in STAGES.get(task_id, {task_id})
            said.setdefault(task_id, []).append(line["event"])
        else:
            assert not line.get("logger", "").startswith(OURS), f"{task_id}: {line}"
    assert {"open_request", "fetch_asdm", "fetch_products", "run_casa", "verify", "deliver"} <= set(said)
    assert any("restored 1 execution blocks" in event for event in said["run_casa"])
