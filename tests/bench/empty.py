"""What Airflow alone costs: runs with as many tasks as a restore has, and nothing to do in them.

On PostgreSQL, as the load; what is left of the load's figures is the package's own.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from load_site import TASKS_AT_ONCE, on_postgresql
from load_watch import machine_busy_s
from servers import postgresql

from alma_restore.demo.small_airflow import SmallAirflow, base_environment, free_port, settings_of_airflow

DAGS = Path(__file__).parent / "load_parts" / "empty_dags"
RUNS = "dags/empty_tasks/dagRuns"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=60, help="how many (60)")


def run(home: Path, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Start the runs at once and wait for their end."""
    port = free_port()
    with postgresql("airflow") as server:
        variables = base_environment() | settings_of_airflow(home / "airflow", DAGS.parent, port)
        variables |= on_postgresql(server) | {
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE["postgresql"]),
        }
        airflow = SmallAirflow(home / "airflow", None, variables, port)
        try:
            airflow.migrate()
            airflow.start()
            airflow.wait_until_healthy()
            while airflow.api("GET", "dags/empty_tasks").is_error:  # its file has not been read yet
                time.sleep(0.5)
            return _measured(airflow, wanted.runs)
        finally:
            airflow.stop()


def _measured(airflow: SmallAirflow, runs: int) -> list[dict[str, Any]]:
    began, spent = time.monotonic(), machine_busy_s()
    for number in range(runs):
        run = {"dag_run_id": f"run_{number}", "logical_date": None}
        airflow.api("POST", RUNS, json=run).raise_for_status()
    while _ended(airflow) < runs:
        airflow.check_alive()
        time.sleep(1)
    seconds, spent = time.monotonic() - began, machine_busy_s() - spent
    return [
        {"what": "runs of 8 empty tasks", "value": runs},
        {"what": "runs a second", "value": round(runs / seconds, 3)},
        {"what": "processor seconds of the whole machine a run", "value": round(spent / runs, 2)},
    ]


def _ended(airflow: SmallAirflow) -> int:
    return int(airflow.api("GET", RUNS, params={"state": "success", "limit": 1}).json()["total_entries"])
