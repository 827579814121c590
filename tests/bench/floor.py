"""Airflow alone: what as many empty tasks take as a restore has. No restore on this machine can take less."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from load_site import RESTORES_AT_ONCE, TASKS_AT_ONCE, on_postgresql
from load_watch import processor_time
from servers import postgresql

from alma_restore.demo.small_airflow import SmallAirflow, base_environment, free_port, settings_of_airflow

DAG = "empty_tasks"
HERE = Path(__file__).parent
LOOK_EVERY_S = 2.0


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=100, help="how many (100)")
    parser.add_argument("--tasks", type=int, default=8, help="in each, one after the other (8, as a restore has)")


def run(home: Path, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Carry the runs out, all asked for before the first begins."""
    with _airflow(home / "run", wanted.tasks) as airflow:
        while airflow.api("GET", f"dags/{DAG}").status_code != HTTPStatus.OK:
            airflow.check_alive()
            time.sleep(0.5)
        for number in range(wanted.runs):
            asked = {"dag_run_id": f"run_{number}", "logical_date": None}
            airflow.api("POST", f"dags/{DAG}/dagRuns", json=asked).raise_for_status()
        before, began = processor_time(airflow.running()), time.monotonic()
        airflow.api("PATCH", f"dags/{DAG}", json={"is_paused": False}).raise_for_status()
        while _runs(airflow, "queued", "running"):
            airflow.check_alive()
            time.sleep(LOOK_EVERY_S)
        took, after = time.monotonic() - began, processor_time(airflow.running())
        succeeded = _runs(airflow, "success")
    cpu_s = {name: (seconds - before[name]) / wanted.runs for name, seconds in after.items()}
    whole = cpu_s.pop("machine")
    return [
        {"what": "runs that succeeded", "value": succeeded, "note": f"of {wanted.runs}, {wanted.tasks} tasks each"},
        {"what": "runs a second", "value": round(wanted.runs / took, 3), "note": f"in {took:.0f} s"},
        {"what": "processor seconds of the whole machine a run", "value": round(whole, 2), "note": ""},
        *({"what": f"of which {name}", "value": round(seconds, 2), "note": ""} for name, seconds in cpu_s.items()),
    ]


@contextmanager
def _airflow(home: Path, tasks: int) -> Iterator[SmallAirflow]:
    """Set up as for the load of restores, with the DAG of empty tasks alone."""
    shutil.rmtree(home, ignore_errors=True)
    port = free_port()
    with postgresql("airflow") as server:
        environment = {
            **base_environment(),
            **settings_of_airflow(home, HERE.parents[1], port),
            **on_postgresql(server),
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "floor_dag"),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": str(RESTORES_AT_ONCE["postgresql"]),
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE["postgresql"]),
            "FLOOR_TASKS": str(tasks),
        }
        airflow = SmallAirflow(home, None, environment, port)
        try:
            airflow.migrate()
            airflow.start()
            airflow.wait_until_healthy()
            yield airflow
        finally:
            airflow.stop()


def _runs(airflow: SmallAirflow, *states: str) -> int:
    wanted = {"state": states, "limit": 1}
    return int(airflow.api("GET", f"dags/{DAG}/dagRuns", params=wanted).raise_for_status().json()["total_entries"])
