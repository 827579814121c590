"""Keeps one job on its machine: starts it, shows that the machine is alive, measures it, and stops it when told to.

`python keeper.py FOLDER NICENESS MEMORY_BYTES PLACES COUNT COMMAND [ARGUMENT...]` outlives the task that starts it. In
FOLDER, which other machines may see as well, it

- waits until one of COUNT places is free (0: no limit), leaves that moment in `started`, and takes `waiting` away;
  PLACES.N is the lock of each;
- touches `heartbeat` every two seconds;
- obeys `cancelled`, or a FOLDER that has gone: whatever carries the job's mark is stopped, and `stopped` says why;
- stops a job that takes more than MEMORY_BYTES (0: no limit), and leaves the most that it took in `peak_memory_bytes`;
- writes the exit code to `rc`, complete or not there at all. Once `cancelled` is there it never does: a job that was
  given up while its machine was silent has no say in what becomes of the restore.

Started as a program it needs the standard library and psutil alone: it has to be quick to start, and small.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import psutil

MARK = "ALMA_RESTORE_JOB"
"""The variable by which everything that a job started is known: Xvfb, MPI servers, a process that changed its group."""

_BEAT_S = 2.0
_GRACE_S = 3.0  # Airflow gives a cancelled task 5 s
_LOOK_EVERY_S = 0.02
_PLACE_EVERY_S = 0.2
_KILLS = 5
_CANCELLED = "it was cancelled"


def wait_for_place(folder: Path, places: str, count: int) -> None:
    """Take a place, which the kernel gives back when this process ends; or give up, when the job is cancelled."""
    while not (_is_cancelled(folder) or any(_take(Path(f"{places}.{number}")) for number in range(count))):
        time.sleep(_PLACE_EVERY_S)
    with suppress(OSError):  # a full disk
        _write(folder / "started", str(time.time()))
    with suppress(FileNotFoundError):  # the workspace is gone
        (folder / "waiting").unlink()


def keep(folder: Path, niceness: str, memory_bytes: int, command: Sequence[str]) -> None:
    """Run a command to its end, or to what ends it before."""
    if _is_cancelled(folder):
        tell_stopped(folder)
        return
    job = Popen(["nice", "-n", niceness, *command])
    peak = 0
    while (code := _exit_code(job)) is None:
        peak = max(peak, taken := _memory_bytes(str(folder)))
        if _is_cancelled(folder):
            stop(str(folder), but=os.getpid())
            break
        if memory_bytes and taken > memory_bytes:
            stop(str(folder), but=os.getpid(), grace_s=0)
            _write(
                folder / "stopped", f"it used {taken / 1e9:.2f} GB of memory, its limit is {memory_bytes / 1e9:.2f} GB"
            )
            break
    if peak := max(peak, _largest_bytes()):
        with suppress(OSError):  # a full disk, or a folder that has gone; neither may cost the exit code
            _write(folder / "peak_memory_bytes", str(peak))
    if _is_cancelled(folder):
        tell_stopped(folder)
    elif code is not None:
        _write(folder / "rc", str(128 - code if code < 0 else code))


def stop(folder: str, but: int = 0, grace_s: float = _GRACE_S) -> None:
    """Stop whatever carries a job's mark: asked first, killed after a grace.

    Args:
        but: a process id to leave alone.
    """
    if grace_s:
        asked = _members(folder, but)
        _signal(asked, signal.SIGTERM)
        _signal(asked, signal.SIGCONT)  # a stopped process hears SIGTERM only when it goes on
        _wait_for_end(asked, grace_s)
    for _ in range(_KILLS):  # a dying process may have started another
        if not (left := _members(folder, but)):
            break
        _signal(left, signal.SIGKILL)
        _wait_for_end(left, _GRACE_S)


def tell_stopped(folder: Path) -> None:
    """Tell other machines that nothing of the job is left: they see its folder, not its processes."""
    with suppress(OSError):  # the workspace is gone, so that nobody asks any more, or its disk cannot be written
        _write(folder / "stopped", _CANCELLED)


def _take(place: Path) -> bool:
    lock = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True  # left open, and held with it


def _exit_code(job: Popen[bytes]) -> int | None:
    try:
        return job.wait(timeout=_BEAT_S)
    except TimeoutExpired:
        return None


def _is_cancelled(folder: Path) -> bool:
    """Show a sign of life, and look for orders. A listing makes a networked file system show what others have done."""
    try:
        os.utime(folder / "heartbeat")
        return folder / "cancelled" in folder.iterdir()
    except FileNotFoundError:
        return True
    except OSError:  # the disk does not answer now
        return False


def _write(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.part")
    part.write_text(f"{text}\n")
    part.replace(file)


def _memory_bytes(folder: str) -> int:
    """What the job's processes hold for themselves: libraries that they share are counted for none of them."""
    taken = 0
    for process in _members(folder, os.getpid()):
        with suppress(psutil.NoSuchProcess):
            used = process.memory_info()
            taken += used.rss - used.shared
    return taken


def _largest_bytes() -> int:
    """What the largest of the ended processes took: a short job may not have been looked at before its end."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _members(folder: str, but: int) -> list[psutil.Process]:
    """All processes that this job started, directly or not, the oldest first: a parent dies before it can complain."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get(MARK) == folder:
                found[process.pid] = process
                found.update({child.pid: child for child in process.children(recursive=True)})
    found.pop(but, None)
    return sorted(filter(_runs, found.values()), key=psutil.Process.create_time)


def _runs(process: psutil.Process) -> bool:
    """Zombies do not: where nobody reaps them they stay for ever."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(processes: Sequence[psutil.Process], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


if __name__ == "__main__":
    its_folder, its_niceness, its_memory, its_places, its_count, *its_command = sys.argv[1:]
    if int(its_count):
        wait_for_place(Path(its_folder), its_places, int(its_count))
    keep(Path(its_folder), its_niceness, int(its_memory), its_command)
