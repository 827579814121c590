"""What a launcher is: it starts a job somewhere, says how it fares, and stops it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Places:
    """How many jobs of a kind may be at work on one machine; the others wait. `folder` is where that is counted."""

    folder: Path
    count: int


@dataclass(frozen=True, slots=True)
class Job:
    """One CASA run, ready to start.

    Attributes:
        name: for people and queues, such as `restore_uid___A001_X12d1_X23e`.
        argv: the command, one list element an argument; never a shell string.
        env: the whole environment of the command.
        cwd: where it runs (working/).
        folder: where the launcher keeps its files of this attempt: `log` (stdout and stderr) and `rc` (the exit code,
            written atomically when the command has ended: the truth about the job, whatever a queue says).
        cores, memory_bytes, time_limit_s: what it needs; None: the launcher's default.
        niceness: of the process.
        places: None: as many jobs as come. A cluster, which has a queue, takes no notice.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    folder: Path
    cores: int = 1
    memory_bytes: int | None = None
    time_limit_s: float | None = None
    niceness: int = 0
    places: Places | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def rc(self) -> Path:
        return self.folder / "rc"


@dataclass(frozen=True, slots=True)
class Handle:
    """Enough to find a started job again from another process; JSON in and out.

    Attributes:
        launcher: the registered name of the launcher that started it.
        job_id: the launcher's own identity of the job, such as a process id with its start time, or a Slurm job id.
        folder: the job's folder (`log`, `rc`).
    """

    launcher: str
    job_id: str
    folder: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job fares.

    Attributes:
        phase: `waiting`, `running`, `ended`, `unknown` (ask again), or `lost`: its machine has been silent for so long
            that another attempt may begin. A launcher that says so sees to it that the job stops should it come back.
        exit_code: of an ended job; None: it was cut short.
        note: what more there is to say; of a job that was cut short, why.
    """

    phase: str
    exit_code: int | None = None
    note: str = ""


class Launcher(Protocol):
    """Starts CASA jobs in one kind of place."""

    name: str
    detached: bool
    """True where polling needs no process on this machine, so that an Airflow task may defer."""
    poll_s: float
    """How often a job of this kind is looked at."""

    def submit(self, job: Job) -> Handle:
        """Start a job.

        Raises:
            Misconfigured: it can never be started this way.
            NotAvailable: it cannot be started now.
        """

    def find(self, handle: Handle) -> Handle | None:
        """The job of a handle that was noted before the launcher told its `job_id`; None: it has to be started anew.

        Raises:
            NotAvailable: this cannot be told now.
        """

    def poll(self, handle: Handle) -> JobState:
        """How the job fares. What cannot be told now is `unknown`; `watching` decides how long that is endured."""

    def cancel(self, handle: Handle) -> None:
        """Stop the job with everything it started, and wait until it is gone; an ended job stays as it is.

        Raises:
            NotAvailable: it may still be running. The order stands: it does not begin any more, and stops when it can.
        """


def order_to_stop(handle: Handle) -> bool:
    """Leave the order that a job does not begin any more, and ends: `cancelled` in its folder.

    Returns:
        False when the disk cannot be written; what can be reached in another way has to be stopped all the same.
    """
    order = Path(handle.folder, "cancelled")
    try:
        order.parent.mkdir(parents=True, exist_ok=True)
        order.touch()
    except OSError as error:
        log.warning("The order to stop the job of %s cannot be written: %s.", handle.folder, error)
        return order.exists()
    return True


def exit_code(handle: Handle) -> int | None:
    """The exit code that a job has left in its folder; None: there is none yet."""
    try:
        any(Path(handle.folder).iterdir())  # makes a networked file system show what another machine has written
        return int(Path(handle.folder, "rc").read_text())
    except (FileNotFoundError, ValueError):
        return None


def started(handle: Handle) -> float | None:
    """Since when a job has been at work, as far as its launcher has left word: a wait for a place is over then."""
    try:
        return float(Path(handle.folder, "started").read_text())
    except (FileNotFoundError, ValueError):
        return handle.facts.get("started")
