"""Which stage Airflow has stopped, as it does when somebody marks its task as failed.

Airflow ends such a task by a signal and tells no later task about it. So a task leaves word when it is told to stop;
one that dies with its machine, or for want of memory, has no time to. It is told at its next heartbeat, seconds late.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from airflow.sdk import get_current_context

from alma_restore.casa import attempts
from alma_restore.catalogue.records import RequestRecord
from alma_restore.workspace import Workspace

_WORDS = "stopped"
_WORD_WITHIN_S = 20.0


@contextmanager
def word_left_when_stopped(record: RequestRecord, stage: str) -> Iterator[None]:
    """Leave word of this stage, should Airflow stop its task meanwhile; an earlier try's is taken back."""
    instance: Any = get_current_context()["ti"]
    words = Workspace(Path(record.workspace)).logs / _WORDS
    if not words.parent.is_dir():  # no workspace yet: the first stages take seconds
        yield
        return
    words.mkdir(exist_ok=True)
    word = words / f"{stage}.{instance.map_index}"
    word.unlink(missing_ok=True)
    task, on_kill = instance.task, instance.task.on_kill

    def leave_word() -> None:
        with suppress(FileNotFoundError):  # the request has been closed, and nothing of it is kept
            word.write_text(str(record.attempt))
        on_kill()

    task.on_kill = leave_word
    try:
        yield
    finally:
        task.on_kill = on_kill


def stopped_stage(record: RequestRecord) -> str:
    """The stage that Airflow has stopped in this attempt at the request; empty: none."""
    deadline = time.monotonic() + _WORD_WITHIN_S
    workspace = Workspace(Path(record.workspace))
    while record.workspace and workspace.logs.is_dir():
        if (stage := _stopped(record, workspace)) or time.monotonic() > deadline:
            return stage
        time.sleep(0.5)
    return ""


def _stopped(record: RequestRecord, workspace: Workspace) -> str:
    for word in sorted((workspace.logs / _WORDS).glob("*")):
        if word.read_text() == str(record.attempt):
            return word.stem
    runs = [attempts.latest(run) for run in workspace.runs if run.logs.is_dir()]
    cancelled = any(run and run.is_cancelled for run in runs)  # by the trigger: a deferred task has no process
    return record.stage if record.stage == "run_casa" and cancelled else ""
