"""As many tasks as a restore of one execution block has, in the same order; none does anything."""

from __future__ import annotations

from airflow.sdk import dag, task


@task
def nothing() -> None:
    """A task of Python, like those of a restore."""


@dag(schedule=None, max_active_runs=24, default_args={"weight_rule": "upstream"})
def empty_tasks() -> None:
    opened, raw, products, *rest = (nothing.override(task_id=f"task_{number}")() for number in range(8))
    opened >> [raw, products] >> rest[0] >> rest[1] >> rest[2] >> rest[3] >> rest[4]


empty_tasks()
