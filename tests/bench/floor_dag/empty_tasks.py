"""As many tasks in a row as a restore has, and nothing in any of them."""

from __future__ import annotations

import os

from airflow.sdk import chain, dag, task


@dag(schedule=None)
def empty_tasks() -> None:
    @task
    def nothing() -> None:
        pass

    chain(*(nothing.override(task_id=f"nothing_{number}")() for number in range(int(os.environ["FLOOR_TASKS"]))))


empty_tasks()
