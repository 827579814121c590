"""CASA on this machine: a detached process that outlives the task that started it."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from subprocess import CalledProcessError, run

import psutil

from alma_restore.casa.launchers.base import Handle, Job, JobState, exit_code
from alma_restore.errors import Misconfigured, NotAvailable

_RUN_JOB = Path(__file__).with_name("run_job.sh")
_MARK = "ALMA_RESTORE_JOB"
_GRACE_S = 3.0  # Airflow gives a cancelled task 5 s
_LOOK_EVERY_S = 0.02
_KILLS = 5


class LocalLauncher:
    """Runs jobs as processes of this machine, in a session of their own.

    A job is told from any other process by its process id, that process's start time and the boot of the machine, so a
    process id that was given out again is never taken for it. Everything a job starts carries the job's folder in its
    environment, and is found by that when the job is cancelled: Xvfb, MPI servers, a process that changed its group.
    """

    name = "local"
    detached = False

    def __init__(self, poll_s: float = 0.1) -> None:
        self.poll_s = poll_s

    def submit(self, job: Job) -> Handle:
        """Start a job.

        Raises:
            Misconfigured: it cannot be started here.
        """
        job.folder.mkdir(parents=True, exist_ok=True)
        command = ["/bin/sh", str(_RUN_JOB), str(job.folder), str(job.niceness), *job.argv]
        environment = {**job.env, _MARK: str(job.folder)}
        try:
            started = run(
                command,
                env=environment,
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
        facts = {"host": socket.gethostname(), "boot": _boot_id(), "ticks": _start_ticks(pid), "started": time.time()}
        return Handle(launcher=self.name, job_id=str(pid), folder=str(job.folder), facts=facts)

    def find(self, handle: Handle) -> Handle | None:
        """A local job can be stopped by its mark, and followed by its process id alone."""
        return None

    def poll(self, handle: Handle) -> JobState:
        """`FOLDER/rc` is the truth; a job whose process is gone without it was killed."""
        if (code := exit_code(handle)) is not None:
            return JobState("ended", code)
        if _stopped(handle).exists():
            return JobState("ended", note="it was cancelled")
        if handle.facts.get("host") != socket.gethostname():
            return JobState("unknown", note=f"runs on {handle.facts.get('host')}")
        if _is_alive(handle):
            return JobState("running")
        if (code := exit_code(handle)) is not None:  # it ended while we looked
            return JobState("ended", code)
        return JobState("ended", note="its process is gone and left no exit code: it was killed, or the disk was full")

    def cancel(self, handle: Handle) -> None:
        """Stop whatever carries the job's mark: asked first, killed after a grace.

        Raises:
            NotAvailable: the job may be running on another machine.
        """
        host = handle.facts.get("host", socket.gethostname())
        if host != socket.gethostname():
            if self.poll(handle).phase == "ended":
                return
            raise NotAvailable(f"The job in {handle.folder} runs on {host}.", remedy="Cancel it from there.")
        members = _members(handle.folder)
        _signal(members, signal.SIGTERM)
        _signal(members, signal.SIGCONT)  # a stopped process hears SIGTERM only when it goes on
        _wait_for_end(members)
        for _ in range(_KILLS):  # a dying process may have started another
            if not (members := _members(handle.folder)):
                break
            _signal(members, signal.SIGKILL)
            _wait_for_end(members)
        _stopped(handle).parent.mkdir(parents=True, exist_ok=True)
        _stopped(handle).touch()


def _stopped(handle: Handle) -> Path:
    """Tells other machines that the job is gone: they see its folder, not its processes."""
    return Path(handle.folder, "cancelled")


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


def _members(folder: str) -> list[psutil.Process]:
    """All processes that this job started, directly or not."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == folder:
                found[process.pid] = process
                found.update({child.pid: child for child in process.children(recursive=True)})
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return [process for process in found.values() if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    """Zombies do not: where nobody reaps them they stay for ever."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(processes: Sequence[psutil.Process]) -> None:
    deadline = time.monotonic() + _GRACE_S
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
