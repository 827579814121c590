"""The metrics: only for who brings the token, true to the catalogue, and read by a real Prometheus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from alma_restore.casa.attempts import Attempt
from alma_restore.casa.launchers.base import Handle
from alma_restore.catalogue.figures import DETECTION_CURSOR
from alma_restore.catalogue.records import TRIED_AGAIN
from alma_restore.demo.small_airflow import free_port
from alma_restore.errors import Corrupt, Refused
from alma_restore.metrics import TaskQueue
from alma_restore.request import RestoreRequest
from alma_restore.restore import detecting
from alma_restore.settings import MetricsSettings, QueueSettings
from alma_restore.web import metrics_route

MONITORING = Path(__file__).parents[2] / "docker" / "monitoring"
TOKEN = "a token for Prometheus alone"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
PROMETHEUS = shutil.which("prometheus")
DEFINED_BY_PROMETHEUS = {"up", "ALERTS"}


@pytest.fixture
def house(house, tmp_path):
    token_file = tmp_path / "metrics_token"
    token_file.write_text(f"{TOKEN}\n")
    (tmp_path / "spool").mkdir()
    (tmp_path / "deliveries").mkdir()
    object.__setattr__(
        house, "settings", house.settings.model_copy(update={"metrics": MetricsSettings(token_file=token_file)})
    )
    return house


@pytest.fixture
def app(app):
    hour_ago = datetime.now(timezone.utc) - timedelta(hours=1)
    app.dependency_overrides |= {
        metrics_route.airflow_parts: lambda: {"metadatabase": True, "scheduler": False},
        metrics_route.task_queues: lambda: {"casa": TaskQueue(running=2, waiting_since=hour_ago), "idle": TaskQueue()},
    }
    return app


@pytest.fixture
def busy(house):
    """A catalogue in which every kind of thing has happened; answers the ids of its requests."""
    catalogue, spool = house.catalogue, house.settings.spool_root

    def request(number):
        return catalogue.open_request(RestoreRequest(mous_uid=f"uid://A001/X1/X{number}")).id

    delivered, failed, refused, running, _ = ids = [request(number) for number in range(1, 6)]
    for stage in ("open_request", "prepare_workspace", "run_casa", "deliver"):
        catalogue.start_stage(delivered, stage)
    catalogue.set_casa_peak(delivered, 3_000_000_000)
    catalogue.record_delivery(delivered, destination="", path="/x", size_bytes=700, files=2, sha256="", expires_at=None)
    catalogue.finish(delivered)
    catalogue.start_stage(failed, "fetch_asdm")
    catalogue.note(failed, f"fetch_asdm: no answer. {TRIED_AGAIN}")
    catalogue.fail(failed, Corrupt('a "quoted"\nreason'), "fetch_asdm")
    catalogue.fail(refused, Refused("by hand", code="manual_calibration"), "open_request")
    catalogue.start_stage(running, "run_casa")
    catalogue.reserve(running, spool, 1000, free_bytes=lambda: 10**9)
    catalogue.report_used(running, 400)
    now = datetime.now(timezone.utc)
    detecting.detect(house, now - timedelta(days=30 * 365), now, backfill=False)
    return ids


def figures(client):
    """What the endpoint tells, by name and labels."""
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.text)
    return {(each.name, *sorted(each.labels.values())): each.value for family in families for each in family.samples}


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}], ids=str
)
def test_nobody_is_let_in_without_the_token(client, headers):
    assert client.get("/metrics", headers={"Accept": "application/json"} | headers).status_code == 401


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("", 500), ("short", 500)])
def test_without_a_good_token_of_its_own_nobody_at_all(client, house, tmp_path, token, status):
    file = None
    if token is not None:
        file = tmp_path / "metrics_token"
        file.write_text(token)
    settings = house.settings.model_copy(update={"metrics": MetricsSettings(token_file=file)})
    object.__setattr__(house, "settings", settings)
    for sent in ("", "short", TOKEN):
        headers = {"Accept": "application/json", "Authorization": f"Bearer {sent}"}
        assert client.get("/metrics", headers=headers).status_code == status


def test_the_figures_are_those_of_the_catalogue(client, house, busy):
    told = figures(client)
    spool = str(house.settings.spool_root)
    assert told["alma_restore_requests", "", "delivered"] == 1
    assert told["alma_restore_requests", "corrupt", "failed"] == 1
    assert told["alma_restore_requests", "manual_calibration", "refused"] == 1
    assert told["alma_restore_requests", "", "cancelled"] == 0
    assert told["alma_restore_ended_last_day", "corrupt", "failed"] == 1
    assert told["alma_restore_active", "run_casa", "running"] == 1
    assert told["alma_restore_active", "", "accepted"] == 1
    assert told["alma_restore_queue_age_seconds",] == told["alma_restore_quiet_seconds", "", "accepted"] > 0
    assert told["alma_restore_retries_last_day", "fetch_asdm"] == 1
    assert told["alma_restore_stages_last_day", "deliver"] == 1
    assert told["alma_restore_stage_seconds", "1", "deliver"] >= 0
    assert told["alma_restore_delivered_bytes_last_day",] == told["alma_restore_delivery_bytes",] == 700
    assert told["alma_restore_disk_reserved_bytes", spool] == 600
    assert told["alma_restore_disk_size_bytes", spool] >= told["alma_restore_disk_free_bytes", spool] > 0
    assert told["alma_restore_casa_peak_memory_bytes", "0.5"] == 3_000_000_000
    assert told["alma_restore_airflow_healthy", "scheduler"] == 0
    assert 3600 <= told["alma_restore_task_queue_age_seconds", "casa"] < 4200
    assert told["alma_restore_tasks_running", "casa"] == 2
    assert told["alma_restore_task_queue_age_seconds", "idle"] == told["alma_restore_tasks_running", "idle"] == 0
    assert time.time() - told["alma_restore_last_detection_timestamp_seconds",] < 600
    assert time.time() - told["alma_restore_newest_calibration_timestamp_seconds",] < 600
    total = sum(number for (name, *_), number in told.items() if name == "alma_restore_requests")
    assert total == house.catalogue.find().total == len(busy)


def test_what_ended_long_ago_counts_for_ever_but_not_for_the_day(client, house, busy, monkeypatch):
    later = datetime.now(timezone.utc) + timedelta(days=2)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz=None):
            return later

    monkeypatch.setattr("alma_restore.metrics.datetime", Tomorrow)
    told = figures(client)
    assert told["alma_restore_requests", "", "delivered"] == 1
    assert told["alma_restore_ended_last_day", "", "delivered"] == 0
    assert told["alma_restore_delivered_bytes_last_day",] == 0
    assert told["alma_restore_delivery_bytes",] == 700
    assert not [key for key in told if key[0] in ("alma_restore_stage_seconds", "alma_restore_casa_peak_memory_bytes")]
    assert told["alma_restore_quiet_seconds", "run_casa", "running"] > 86400


def test_what_detection_found_waits_until_somebody_asks_for_it(client, house):
    now = datetime.now(timezone.utc)
    restores = detecting.detect(house, now - timedelta(days=30 * 365), now, backfill=False)
    for asked in range(len(restores) + 1):
        told = figures(client)
        assert told["alma_restore_calibrations_pending",] == len(restores) - asked
        assert (told["alma_restore_queue_age_seconds",] > 0) == (asked < len(restores))
        for restore in restores[asked : asked + 1]:
            request = house.catalogue.open_request(RestoreRequest.parse(restore.conf), restore.run_id)
            house.catalogue.start_stage(request.id, "open_request")


def test_a_backfill_is_no_detection(house):
    now = datetime.now(timezone.utc)
    detecting.detect(house, now - timedelta(days=1), now, backfill=True)
    assert house.catalogue.cursor(DETECTION_CURSOR) == ""


def test_an_empty_catalogue_tells_zeros(client):
    told = figures(client)
    assert told["alma_restore_ended_last_day", "", "failed"] == told["alma_restore_queue_age_seconds",] == 0


def test_the_memory_of_a_run_is_read_where_its_launcher_left_it(tmp_path):
    attempt = Attempt(1, "key", Handle("local", "1", str(tmp_path)))
    assert attempt.peak_memory_bytes is None
    (tmp_path / "peak_memory_bytes").write_text("123\n")
    assert attempt.peak_memory_bytes == 123


@pytest.fixture(scope="module")
def airflow_database():
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def queueing(airflow_database, house):
    """Puts tasks, each its queue, its state and when it was queued, into Airflow's database."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import delete, insert

    queues = QueueSettings(archive="archive", casa="casa")
    object.__setattr__(house, "settings", house.settings.model_copy(update={"queues": queues}))
    of_run = {"dag_id": "any", "run_id": "a run"}

    def queueing(*tasks):
        with create_session() as session:
            session.execute(insert(DagRun).values(**of_run, run_type="manual", run_after=datetime.now(timezone.utc)))
            for number, (queue, state, queued_at) in enumerate(tasks):
                values = {"task_id": "work", "map_index": number, "pool": "default_pool", "try_number": 1}
                session.execute(
                    insert(TaskInstance).values(**of_run, **values, queue=queue, state=state, queued_dttm=queued_at)
                )

    yield queueing
    with create_session() as session:
        for model in (TaskInstance, DagRun):
            session.execute(delete(model).filter_by(**of_run))


def test_airflow_itself_says_which_of_its_parts_are_alive(airflow_database):
    parts = metrics_route.airflow_parts()
    assert parts["metadatabase"]
    assert not parts["scheduler"]


def test_airflow_itself_says_what_its_queues_hold(queueing, house):
    now = datetime.now(timezone.utc)
    long_ago, lately = now - timedelta(hours=3), now - timedelta(minutes=5)
    queueing(
        ("casa", "queued", lately),
        ("casa", "queued", long_ago),
        ("casa", "running", long_ago - timedelta(days=1)),
        ("archive", "running", long_ago),
        ("archive", "running", lately),
        ("archive", "success", long_ago),
        ("casa", "scheduled", None),
        ("casa", "deferred", long_ago - timedelta(days=1)),
        ("another", "queued", lately),
        (None, "queued", lately),
        ("default", "running", lately),
    )
    assert metrics_route.task_queues(house) == {
        "casa": TaskQueue(running=1, waiting_since=long_ago),
        "archive": TaskQueue(running=2),
        "another": TaskQueue(waiting_since=lately),
        "default": TaskQueue(running=1),
    }


def test_our_queues_are_told_when_they_hold_nothing(queueing, house):
    assert metrics_route.task_queues(house) == dict.fromkeys(("default", "archive", "casa"), TaskQueue())


def test_while_airflows_database_is_away_the_rest_is_told(app, client, monkeypatch):
    import airflow.settings

    del app.dependency_overrides[metrics_route.task_queues]
    elsewhere = sessionmaker(create_engine("sqlite:////nowhere/airflow.db"))
    monkeypatch.setattr(airflow.settings, "NonScopedSession", elsewhere)
    told = figures(client)
    assert told["alma_restore_queue_age_seconds",] == 0
    assert not [key for key in told if key[0] in ("alma_restore_task_queue_age_seconds", "alma_restore_tasks_running")]


def named(text):
    """The metrics that an expression asks for."""
    return set(re.findall(r"\b(alma_restore_\w+|up|ALERTS)\b", re.sub(r'"[^"]*"', "", text)))


def test_what_the_dashboard_and_the_alerts_ask_for_is_told(client, busy):
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "alma-restore.json").read_text())
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    told = {name for name, *_ in figures(client)}
    assert named(" ".join(panels + alerts)) <= told | DEFINED_BY_PROMETHEUS
    assert told - {"alma_restore_info"} <= named(" ".join(panels)), "nothing is measured in vain"


def test_the_dashboard_is_laid_out_as_grafana_wants_it():
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "alma-restore.json").read_text())
    (source,) = yaml.safe_load((MONITORING / "grafana" / "datasources.yml").read_text())["datasources"]
    assert {"uid", "title", "schemaVersion", "panels", "time", "templating"} <= set(dashboard)
    taken = set()
    for panel in dashboard["panels"]:
        assert panel["type"] in ("stat", "timeseries")
        assert panel["datasource"]["uid"] == source["uid"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.fixture
def served(app):
    """The page's app as Airflow mounts it, behind a real socket; answers its port."""
    around, port = FastAPI(), free_port()
    around.mount("/mous", app)
    server = uvicorn.Server(uvicorn.Config(around, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    yield port
    server.should_exit = True
    thread.join()


@pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus is installed (Debian: prometheus)")
def test_a_real_prometheus_reads_them_and_raises_the_alarm(served, busy, tmp_path):
    here = tmp_path / "prometheus"
    shutil.copytree(MONITORING, here)
    config = yaml.safe_load((here / "prometheus.yml").read_text())
    (scrape,) = config["scrape_configs"]
    scrape["authorization"]["credentials_file"] = str(tmp_path / "metrics_token")
    scrape["static_configs"] = [{"targets": [f"127.0.0.1:{served}"]}]
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    (here / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [PROMETHEUS, f"--config.file={here}/prometheus.yml", f"--storage.tsdb.path={here}/data"]
    listen = f"--web.listen-address=127.0.0.1:{port}"
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen([*command, listen], stdout=log, stderr=log)
    try:

        def query(expression):
            answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}, timeout=5)
            return answer.json()["data"]["result"]

        def seen(expression):
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                try:
                    if found := query(expression):
                        return found
                except (httpx.TransportError, KeyError, ValueError):
                    assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
            raise AssertionError(f"waited in vain: {expression}\n{(tmp_path / 'log').read_text()}")

        seen('up{job="alma-restore"} == 1')
        (failed,) = seen('alma_restore_requests{state="failed",reason="corrupt"}')
        assert failed["value"][1] == "1"
        (alert,) = seen('ALERTS{alertname="DamagedData",alertstate="firing"}')
        assert alert["metric"]["severity"] == "ticket"
        assert query('ALERTS{alertname="Misconfigured"}') == []
    finally:
        server.terminate()
        server.wait(20)
