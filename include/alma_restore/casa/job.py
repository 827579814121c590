"""One restore's CASA run: start it once, find it again, follow it to its end, stop it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from alma_restore.casa import attempts, outcome
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.casa_home import casa_home
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle, Job, JobState, Launcher
from alma_restore.errors import CasaFailed, RestoreError
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

_LOOK_EVERY_S = 10.0

Progress = Callable[[str], None]


def for_restore(installation: Installation, workspace: Workspace, casa: CasaSettings, attempt: int) -> Job:
    """The command line, the environment and the limits of one CASA run.

    Source: DOMAIN sections 12 and 13.
    """
    return Job(
        name=f"restore_{workspace.root.name}",
        argv=installation.argv(workspace.ppr, casa.cores),
        env=environment(installation, workspace),
        cwd=workspace.working,
        folder=attempts.folder(workspace, attempt),
        cores=casa.cores,
        time_limit_s=casa.time_limit_s,
        niceness=casa.niceness,
    )


def environment(installation: Installation, workspace: Workspace) -> dict[str, str]:
    """All that CASA is told by its environment: nothing of ours but PATH and LANG, no secret, no other CASA's settings.

    Raises:
        Misconfigured: the installation's Python cannot be used.
    """
    home = workspace.root / "home"
    home.mkdir(exist_ok=True)
    packages = casa_home(home, installation.python) if installation.python and not installation.home else {}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOME": str(home),
        "SCIPIPE_ROOTDIR": str(workspace.root),
        "SCIPIPE_LOGDIR": str(workspace.logs),
        **packages,
        **installation.environment,
    }


def start_or_attach(launcher: Launcher, installation: Installation, workspace: Workspace, casa: CasaSettings) -> Handle:
    """The job that runs this PPR with this CASA, or has run it well; started if there is none.

    However often a task is killed and tried again, CASA runs once. Each new attempt starts in an empty working/: CASA
    takes a MeasurementSet that it finds as it is.

    Raises:
        Misconfigured: the job cannot be started.
    """
    key = _key(workspace, installation)
    with attempts.alone(workspace):
        known = attempts.latest(workspace)
        if known and known.key == key and _is_wanted(launcher, known, workspace):
            return known.handle
        if known:
            launcher.cancel(known.handle)
        number = known.number + 1 if known else 1
        job = for_restore(installation, workspace, casa, number)
        attempt = Attempt(number, key, Handle(launcher.name, job_id="", folder=str(job.folder)))
        attempts.note(workspace, attempt)  # before the start: whoever comes after a crash right here can cancel it
        _clear(workspace)
        handle = launcher.submit(job)
        attempts.note(workspace, replace(attempt, handle=handle))
        return handle


def watch(
    launcher: Launcher, handle: Handle, workspace: Workspace, casa: CasaSettings, on_progress: Progress
) -> JobState:
    """Follow a job to its end.

    Args:
        on_progress: gets each new line of the log.

    Returns:
        Its last state: ended, well or not; `outcome.judge` tells which.

    Raises:
        CasaFailed: it took too long, or showed no sign of life; it has been stopped.
    """
    log = _Log(Path(handle.folder) / "log")
    life = _SignsOfLife(workspace, log.path, look_every_s=min(_LOOK_EVERY_S, casa.no_progress_s / 4))
    started = float(handle.facts.get("started", time.time()))
    while True:
        state = launcher.poll(handle)  # before the log is read: what an ended job wrote is then read to its end
        for line in log.new_lines():
            on_progress(line)
        if state.phase == "ended":
            return state
        if time.time() - started > casa.time_limit_s:
            _give_up(launcher, handle, workspace, f"CASA was still running after {_hours(casa.time_limit_s)}")
        if life.silence_s() > casa.no_progress_s:
            _give_up(launcher, handle, workspace, f"CASA wrote nothing for {_hours(casa.no_progress_s)}")
        time.sleep(casa.poll_s)


def cancel(launcher: Launcher, workspace: Workspace) -> None:
    """Stop the CASA run of a workspace, with everything it started; none is fine."""
    if workspace.logs.is_dir():
        with attempts.alone(workspace):
            if known := attempts.latest(workspace):
                launcher.cancel(known.handle)


def _key(workspace: Workspace, installation: Installation) -> str:
    """Tells runs apart that must not be taken for each other."""
    what = workspace.ppr.read_bytes() + "\0".join([installation.name, *installation.command]).encode()
    return hashlib.sha256(what).hexdigest()


def _is_wanted(launcher: Launcher, attempt: Attempt, workspace: Workspace) -> bool:
    """Is this attempt still at work, or has it ended well?"""
    if not attempt.handle.job_id:
        return False
    state = launcher.poll(attempt.handle)
    if state.phase != "ended":
        return True
    try:
        outcome.judge(workspace, state)
    except RestoreError:
        return False
    return True


def _clear(workspace: Workspace) -> None:
    """Take away what an earlier attempt left: its MeasurementSets, and its signs of failure."""
    workspace.empty_working()
    for sign in workspace.products.glob("errorexit-*.txt"):
        sign.unlink()


def _give_up(launcher: Launcher, handle: Handle, workspace: Workspace, sentence: str) -> NoReturn:
    launcher.cancel(handle)
    raise CasaFailed(
        f"{sentence}, and was stopped.",
        remedy="See the log's end. For more patience raise casa.time_limit_s or casa.no_progress_s in the settings.",
        log_tail=outcome.log_tail(workspace),
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.0f} s"


class _Log:
    """A log that somebody else writes, read line by line as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def new_lines(self) -> Iterator[str]:
        """Lines completed since the last call."""
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                yield line.decode(errors="replace").rstrip()


class _SignsOfLife:
    """Whether a run still writes: to its log, or to anything in working/."""

    def __init__(self, workspace: Workspace, log: Path, look_every_s: float) -> None:
        self._log, self._working = log, workspace.working
        self._look_every_s = look_every_s  # a MeasurementSet has hundreds of files: not looked at in every poll
        self._newest = self._newest_change()
        self._changed = self._looked = time.monotonic()

    def silence_s(self) -> float:
        """Seconds since something was last seen to be written."""
        now = time.monotonic()
        if now - self._looked >= self._look_every_s:
            self._looked = now
            if (newest := self._newest_change()) != self._newest:
                self._newest, self._changed = newest, now
        return now - self._changed

    def _newest_change(self) -> int:
        newest = 0
        for path in (self._log, self._working, *self._working.rglob("*")):
            with suppress(FileNotFoundError):  # CASA deletes while we look
                newest = max(newest, path.stat().st_mtime_ns)
        return newest
