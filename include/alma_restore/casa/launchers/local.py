"""CASA on this machine: a detached process that outlives the task that started it."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from subprocess import CalledProcessError, run

from alma_restore.casa.launchers import keeper
from alma_restore.casa.launchers.base import Handle, Job, JobState, exit_code, order_to_stop
from alma_restore.errors import Misconfigured, NotAvailable

_RUN_JOB = Path(__file__).with_name("run_job.sh")
_MOMENT_S = 60.0
_OBEYED_WITHIN_S = 30.0  # a networked file system may show an order that late
_LOOK_EVERY_S = 0.1


class LocalLauncher:
    """Runs jobs as processes of this machine, in a session of their own, each with a keeper (keeper.py) beside it.

    A job is told from any other process by its process id, that process's start time and the boot of the machine, so a
    process id that was given out again is never taken for it. Everything a job starts carries the job's folder in its
    environment, and is found by that when the job is cancelled.

    On other machines with the same spool a job is followed by its log and its keeper's `heartbeat`, and stopped by an
    order that the keeper obeys. When the heartbeat has been silent for too long, the job is `lost`: it may go on where
    nobody sees it, or come back, but nothing waits for it any more.

    Args:
        poll_s: how often a job is looked at.
        silent_s: how long another machine may be silent.
        host: the name of this machine.
    """

    name = "local"
    detached = False

    def __init__(self, poll_s: float = 0.1, silent_s: float = 600.0, host: str = "") -> None:
        self.poll_s = poll_s
        self._silent_s = silent_s
        self._host = host or socket.gethostname()

    def submit(self, job: Job) -> Handle:
        """Start a job.

        Raises:
            Misconfigured: it cannot be started here.
        """
        job.folder.mkdir(parents=True, exist_ok=True)
        _heartbeat(job.folder).write_text(self._host)  # before the start: whoever finds the folder knows where to look
        limits = (str(job.niceness), str(job.memory_bytes or 0), *self._places(job))
        kept = (sys.executable, "-I", keeper.__file__, str(job.folder), *limits, *job.argv)
        try:
            started = run(
                ["/bin/sh", str(_RUN_JOB), str(job.log), *kept],
                env={**job.env, keeper.MARK: str(job.folder)},
                cwd=job.cwd,
                start_new_session=True,
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, CalledProcessError) as error:
            raise Misconfigured(
                f"{job.name} cannot be started in {job.cwd}: {error}.",
                remedy="Is the spool folder there, and writable?",
            ) from error
        pid = int(started.stdout)
        facts = {"host": self._host, "boot": _boot_id(), "ticks": _start_ticks(pid), "started": time.time()}
        return Handle(launcher=self.name, job_id=str(pid), folder=str(job.folder), facts=facts)

    def find(self, handle: Handle) -> Handle | None:
        """A local job can be stopped by its mark, and followed by its process id alone."""
        return None

    def poll(self, handle: Handle) -> JobState:
        """`FOLDER/rc` is the truth; a job whose process is gone without it was killed."""
        if ended := _ended(handle):
            return ended
        if (host := self._elsewhere(handle)) and self._is_silent(handle):
            return JobState("lost", note=f"{host}, where it ran, has shown no sign of life for {self._silent_s:.0f} s")
        if host:
            return _waiting(handle) or JobState("running", note=f"CASA runs on {host}")
        if _is_alive(handle):
            return _waiting(handle) or JobState("running")
        return _ended(handle) or JobState(  # it ended while we looked
            "ended", note="its process is gone and left no exit code: it was killed, or the disk was full"
        )

    def cancel(self, handle: Handle) -> None:
        """Stop whatever carries the job's mark, here or by its keeper.

        Raises:
            NotAvailable: the job's machine does not answer. The order stands: the keeper obeys it when it can. Or
                the order cannot be written there.
        """
        ordered = exit_code(handle) is not None or order_to_stop(handle)
        host = self._elsewhere(handle)
        if host and not ordered:
            raise NotAvailable(
                f"CASA runs on {host}, and the order to stop it cannot be written.",
                remedy=f"Is the spool read-only or full? Stop it on {host}.",
            )
        if host:
            self._wait_for_end(handle, host)
            return
        keeper.stop(handle.folder)
        if not _ended(handle):
            keeper.tell_stopped(Path(handle.folder))

    def _places(self, job: Job) -> tuple[str, str]:
        """The places of this machine, for the keeper: where their locks are, and how many there are."""
        if job.places is None:
            return "", "0"
        job.places.folder.mkdir(exist_ok=True)
        (job.folder / "waiting").write_text(f"CASA waits for one of {job.places.count} places on {self._host}")
        return str(job.places.folder / self._host), str(job.places.count)

    def _elsewhere(self, handle: Handle) -> str:
        """The machine of the job, unless it is this one; a job without a heartbeat has never begun."""
        try:
            host = _heartbeat(handle.folder).read_text()
        except FileNotFoundError:
            return ""
        return "" if host == self._host else host

    def _wait_for_end(self, handle: Handle, host: str) -> None:
        deadline = time.monotonic() + _OBEYED_WITHIN_S
        while not _ended(handle):
            if time.monotonic() > deadline or _silence_s(handle) > self._silent_s:
                raise NotAvailable(
                    f"CASA runs on {host}, which does not answer.", remedy="It is stopped there as soon as it does."
                )
            time.sleep(_LOOK_EVERY_S)

    def _is_silent(self, handle: Handle) -> bool:
        """Nothing for long, and nothing while we look on: when the disk itself was away, its users come back slowly."""
        if _silence_s(handle) <= self._silent_s:
            return False
        seen = _heartbeat(handle.folder).stat().st_mtime_ns
        time.sleep(min(self._silent_s, _MOMENT_S))
        return _heartbeat(handle.folder).stat().st_mtime_ns == seen


def _heartbeat(folder: Path | str) -> Path:
    """Names the job's machine; touched by the keeper for as long as that lives."""
    return Path(folder, "heartbeat")


def _silence_s(handle: Handle) -> float:
    """How long the job's keeper has been silent: by the disk's clock, for those of two machines can differ."""
    clock = Path(handle.folder, "clock")
    try:
        clock.touch()
        now = clock.stat().st_mtime
    except OSError:  # a disk that cannot be written
        now = time.time()
    with _heartbeat(handle.folder).open("rb") as heartbeat:  # opened, a networked file system tells its present age
        return now - os.fstat(heartbeat.fileno()).st_mtime


def _ended(handle: Handle) -> JobState | None:
    if (code := exit_code(handle)) is not None:
        return JobState("ended", code)
    try:
        return JobState("ended", note=Path(handle.folder, "stopped").read_text().strip())
    except FileNotFoundError:
        return None


def _waiting(handle: Handle) -> JobState | None:
    try:
        return JobState("waiting", note=Path(handle.folder, "waiting").read_text().strip())
    except FileNotFoundError:
        return None


def _is_alive(handle: Handle) -> bool:
    ticks = handle.facts.get("ticks")
    return handle.facts.get("boot") == _boot_id() and ticks is not None and _start_ticks(int(handle.job_id)) == ticks


def _start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None: there is no such process, or only its remains.

    Read from /proc because psutil's start time shifts when the machine's clock is set.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
