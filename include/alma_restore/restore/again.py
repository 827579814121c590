"""Trying again: which tasks of a run are to run once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

FIRST_TASK = "open_request"

_REJECTS = {"verify": "run_casa"}
"""A task that can reject what another one made, however well that one ended: only that one can make it anew."""

Marked = str | tuple[str, int]
"""A task, or one instance of a mapped one, as Airflow's API takes it."""


def to_be_cleared(tasks: Iterable[Mapping[str, Any]], anew: bool = False) -> list[Marked]:
    """What Airflow has to clear, with all that follows; none where nothing is left to be done.

    Args:
        tasks: the task instances of the run, as Airflow's API tells them.
        anew: everything, whatever succeeded.
    """
    instances = list(tasks)
    undone = {task["task_id"] for task in instances if task["state"] != "success"}
    rejected = {_REJECTS[task] for task in undone if task in _REJECTS}
    return [
        _mark(task)
        for task in instances
        if (task["task_id"] == FIRST_TASK if anew else task["state"] != "success" or task["task_id"] in rejected)
    ]


def _mark(task: Mapping[str, Any]) -> Marked:
    return (task["task_id"], task["map_index"]) if task["map_index"] >= 0 else task["task_id"]
