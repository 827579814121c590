"""How the tasks of a restore end, as they say it themselves (`restore.last_words`).

Airflow ends a task by a signal when somebody marks it as failed, and tells no later task about it. So a task leaves
word when it is told to stop; one that dies with its machine, or for want of memory, has no time to. It is told at its
next heartbeat, seconds late.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import TaskDeferred

from alma_restore.casa import attempts
from alma_restore.catalogue.records import RequestRecord
from alma_restore.restore.last_words import TaskWords, stage_that
from alma_restore.workspace import Workspace

_WORD_WITHIN_S = 20.0


@contextmanager
def word_left(record: RequestRecord, stage: str) -> Iterator[None]:
    """Leave word of how this stage's task ends: by itself, or stopped by Airflow."""
    instance: Any = get_current_context()["ti"]
    words = TaskWords.of(record, stage, instance.map_index)
    words.begin()
    task, on_kill = instance.task, instance.task.on_kill

    def stopped() -> None:
        words.leave("stopped")
        on_kill()

    task.on_kill = stopped
    try:
        yield
    except TaskDeferred:
        words.leave("waits")
        raise
    except BaseException:
        words.leave("failed")
        raise
    else:
        words.leave("ended")
    finally:
        task.on_kill = on_kill


def stopped_stage(record: RequestRecord) -> str:
    """The stage that Airflow has stopped in this attempt at the request; empty: none."""
    deadline = time.monotonic() + _WORD_WITHIN_S
    workspace = Workspace(Path(record.workspace))
    while record.workspace and workspace.logs.is_dir():
        stage = stage_that(record, "stopped") or _cancelled_while_deferred(record, workspace)
        if stage or time.monotonic() > deadline:
            return stage
        time.sleep(0.5)
    return ""


def _cancelled_while_deferred(record: RequestRecord, workspace: Workspace) -> str:
    """By the trigger: a deferred task has no process."""
    runs = [attempts.latest(run) for run in workspace.runs if run.logs.is_dir()]
    cancelled = any(run and run.is_cancelled for run in runs)
    return record.stage if record.stage == "run_casa" and cancelled else ""
