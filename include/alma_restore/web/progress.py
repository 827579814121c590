"""How a request fares: its steps with their times, what has been fetched, when it should be done, and CASA's log."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Literal

from alma_restore.casa import attempts
from alma_restore.catalogue.records import RequestRecord, StageTiming
from alma_restore.catalogue.states import DELIVERED
from alma_restore.errors import Refused
from alma_restore.restore.house import House
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

STEPS: Mapping[str, tuple[str, ...]] = {
    "Accept": ("open_request", "prepare_workspace"),
    "Fetch": ("fetch_asdm", "fetch_products"),
    "Prepare": ("stage", "write_ppr"),
    "Run CASA": ("run_casa",),
    "Verify": ("verify",),
    "Deliver": ("deliver",),
}
"""The steps people see, and the stages that each is made of."""

SHORTEST_S = 1.0
"""A step counts at least so long: the ones that take no time are not worth a fraction of the bar."""

PER_EB = ("Fetch", "Run CASA", "Verify", "Deliver")
"""Steps that take longer the more execution blocks there are."""

EARLIER_REQUESTS = 20
"""Delivered requests whose times say how long this one takes."""

SIZE_KEPT_S = 10.0
"""So long the size of what is fetched is not asked again: all its files have to be looked at, for every visitor."""

LOG_LINES = 200
_LOG_BYTES = 64 * 1024

StepState = Literal["waiting", "running", "done", "stopped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a restore; `seconds` so far, None before it begins."""

    name: str
    state: StepState
    started: datetime | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How a request fares now.

    Attributes:
        fraction: of the whole time, between 0 and 1; by steps where earlier restores tell nothing.
        ends_at: when it should be done; None where nobody can tell.
        ebs: execution blocks of the restore; fetched_ebs and casa_ebs: how many of them are fetched, and begun by CASA.
        fetched_bytes: in the workspace's rawdata/ and products/.
        log: the end of CASA's output.
    """

    steps: tuple[Step, ...]
    fraction: float
    ends_at: datetime | None
    ebs: int
    fetched_ebs: int
    casa_ebs: int
    fetched_bytes: int
    log: str


def look(house: House, record: RequestRecord, ebs_of: Mapping[Uid, int], now: datetime | None = None) -> Progress:
    """Look at a request, its history and its workspace.

    Args:
        ebs_of: how many execution blocks a restore of these MOUSs has: of this one, and of earlier ones.
    """
    now = now or datetime.now(timezone.utc)
    steps = steps_of(house.catalogue.stage_timings(record.id), record, now)
    usual = (
        {} if record.ended else usual_seconds(house, ebs_of, ebs_of.get(record.mous_uid, 0) if record.mous_uid else 0)
    )
    ends_at = estimated_end(steps, usual, now) if record.state == "running" else None
    workspace = Workspace(Path(record.workspace)) if record.workspace else None
    eb_uids = _eb_uids(workspace)
    return Progress(
        steps=steps,
        fraction=1.0 if record.state in (*DELIVERED, "expired") else _fraction(steps, ends_at, now),
        ends_at=ends_at,
        ebs=len(eb_uids),
        fetched_ebs=sum((workspace.rawdata / uid.sanitised).is_dir() for uid in eb_uids) if workspace else 0,
        casa_ebs=_begun(workspace, eb_uids) if workspace else 0,
        fetched_bytes=_fetched_bytes(workspace, int(time.monotonic() / SIZE_KEPT_S)) if workspace else 0,
        log=log_tail(workspace) if workspace else "",
    )


def steps_of(timings: Sequence[StageTiming], record: RequestRecord, now: datetime) -> tuple[Step, ...]:
    """The steps of the latest attempt, from the times of its stages."""
    begun: dict[str, list[StageTiming]] = defaultdict(list)
    for timing in timings:
        begun[_step_of(timing.stage)].append(timing)
    latest = max((list(STEPS).index(name) for name in begun if name in STEPS), default=-1)
    found = []
    for number, name in enumerate(STEPS):
        if not begun[name]:
            found.append(Step(name, "done" if number < latest else "waiting", None, None))
            continue
        started = begun[name][0].started
        ended = max(timing.ended or now for timing in begun[name])
        state: StepState = "done"
        if number == latest and record.state not in DELIVERED and record.state != "expired":
            state = "stopped" if record.ended else "running"
        if state == "running":
            ended = now
        found.append(Step(name, state, started, (ended - started).total_seconds()))
    return tuple(found)


def earlier(house: House) -> tuple[RequestRecord, ...]:
    """The requests whose times say how long a restore takes here."""
    return house.catalogue.find(states=DELIVERED, limit=EARLIER_REQUESTS).requests


def usual_seconds(house: House, ebs_of: Mapping[Uid, int], ebs: int) -> dict[str, float]:
    """How long each step takes with this many execution blocks, in the median of earlier restores; empty if none."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for record in earlier(house):
        before = _ebs(record, ebs_of)
        scale = ebs / before if ebs and before else 1.0
        for step in steps_of(house.catalogue.stage_timings(record.id), record, record.updated_at):
            if step.seconds is not None:
                seconds[step.name].append(step.seconds * (scale if step.name in PER_EB else 1.0))
    return {name: max(SHORTEST_S, median(some)) for name, some in seconds.items()}


def estimated_end(steps: Iterable[Step], usual: Mapping[str, float], now: datetime) -> datetime | None:
    """When the steps that are not done should be, if they take as long as usual."""
    if not usual:
        return None
    remaining = 0.0
    for step in steps:
        if step.state == "running":
            remaining += max(0.0, usual.get(step.name, 0.0) - (step.seconds or 0.0))
        elif step.state == "waiting":
            remaining += usual.get(step.name, 0.0)
    return now + timedelta(seconds=remaining)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, those that vanish meanwhile left out; links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(Path(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


def log_tail(workspace: Workspace, lines: int = LOG_LINES) -> str:
    """The last lines of CASA's output in its latest attempt, however long the log is; of each of several runs."""
    runs = workspace.runs
    tails = {run.root.name: _log_tail(run, max(1, lines // len(runs))) for run in runs}
    begun = {name: tail for name, tail in tails.items() if tail}
    if len(tails) == 1:
        return "".join(begun.values())
    return "\n\n".join(f"== {name}\n{tail}" for name, tail in begun.items())


def _log_tail(workspace: Workspace, lines: int) -> str:
    attempt = attempts.latest(workspace)
    if attempt is None:
        return ""
    try:
        with attempt.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _LOG_BYTES))
            end = log.read().decode(errors="replace")
    except OSError:
        return ""
    whole_lines = end if size <= _LOG_BYTES else end.partition("\n")[2]
    return "\n".join(whole_lines.splitlines()[-lines:])


def _ebs(record: RequestRecord, ebs_of: Mapping[Uid, int]) -> int:
    return ebs_of.get(record.mous_uid, 0) if record.mous_uid else 0


def _step_of(stage: str) -> str:
    return next((name for name, stages in STEPS.items() if stage in stages), stage)


def _fraction(steps: Sequence[Step], ends_at: datetime | None, now: datetime) -> float:
    first = next((step.started for step in steps if step.started), None)
    if ends_at is None or first is None:
        return sum(step.state == "done" for step in steps) / len(steps)
    return min(0.99, (now - first) / max(ends_at - first, timedelta(seconds=1)))


def _begun(workspace: Workspace, eb_uids: Iterable[Uid]) -> int:
    """How many execution blocks CASA has begun with, in one run of all or in a run of each."""
    run_of = workspace.part if workspace.parts else lambda _: workspace
    return sum((run_of(uid).working / f"{uid.sanitised}.ms").is_dir() for uid in eb_uids)


@lru_cache(maxsize=200)
def _fetched_bytes(workspace: Workspace, _now: int) -> int:
    """The size of what is fetched, as it was found first in this stretch of time."""
    return size_of(workspace.rawdata) + size_of(workspace.products)


def _eb_uids(workspace: Workspace | None) -> list[Uid]:
    """The execution blocks to restore."""
    try:
        return [Uid(uid) for uid in workspace.metadata().get("fileSetIds", [])] if workspace else []
    except (OSError, ValueError, Refused):
        return []
