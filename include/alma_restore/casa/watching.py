"""Looking after a running CASA job: its log, its signs of life, and when to give it up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from alma_restore.casa import outcome
from alma_restore.casa.launchers.base import Handle, JobState, Launcher, started
from alma_restore.errors import CasaFailed, NotAvailable
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

_LOOK_EVERY_S = 10.0

Progress = Callable[[str], None]


class Watch:
    """Watches over one job; whoever holds it decides when to look.

    Args:
        on_progress: gets each line of the log, from its beginning, and what the launcher says of the job when that
            changes.
    """

    def __init__(
        self, launcher: Launcher, handle: Handle, workspace: Workspace, casa: CasaSettings, on_progress: Progress
    ) -> None:
        self._launcher, self._handle, self._workspace, self._casa = launcher, handle, workspace, casa
        self._on_progress = on_progress
        self._log = _Log(Path(handle.folder) / "log")
        self._life = _SignsOfLife(workspace, self._log.path, look_every_s=min(_LOOK_EVERY_S, casa.no_progress_s / 4))
        self._running = _Stopwatch(lambda: started(handle))
        self._unknown = _Stopwatch()
        self._note = ""

    def look(self) -> JobState:
        """How the job fares now.

        A job in a queue may wait as long as the queue likes. A job that nothing can be learnt of, by its exit code or
        from its launcher, counts as ended when the patience ends.

        Raises:
            CasaFailed: it took too long, or showed no sign of life; it has been stopped.
            NotAvailable: its machine is lost.
        """
        state = self._launcher.poll(self._handle)  # before the log is read: what an ended job wrote is read to its end
        for line in self._log.new_lines():
            self._on_progress(line)
        if state.phase == "ended":
            return state
        if state.phase == "lost":
            raise NotAvailable(f"CASA is lost: {state.note}.", remedy="It is started anew, on a machine that answers.")
        if state.note != self._note:
            self._note = state.note
            self._on_progress(state.note)
        running, unknown = state.phase == "running", state.phase == "unknown"
        if self._running.seconds(running or unknown) > self._casa.time_limit_s:
            self._give_up(f"CASA was still running after {_hours(self._casa.time_limit_s)}")
        if self._life.silence_s(running) > self._casa.no_progress_s:
            self._give_up(f"CASA wrote nothing for {_hours(self._casa.no_progress_s)}")
        if self._unknown.seconds(unknown) > self._casa.patience_s:
            return JobState("ended", note=f"{state.note}; that was so for {_hours(self._casa.patience_s)}")
        return state

    def _give_up(self, sentence: str) -> NoReturn:
        with suppress(NotAvailable):  # the next attempt will not begin before this one is gone
            self._launcher.cancel(self._handle)
        raise CasaFailed(
            f"{sentence}, and was stopped.",
            remedy="See the log's end. For more time raise casa.time_limit_s or casa.no_progress_s in the settings.",
            log_tail=outcome.log_tail(self._workspace),
        )


class _Stopwatch:
    """How long something has been so without a break.

    Args:
        began: tells since when, if that is known; else it began when it was first seen.
    """

    def __init__(self, began: Callable[[], float | None] = lambda: None) -> None:
        self._began = began
        self._since: float | None = None

    def seconds(self, still: bool) -> float:
        if not still:
            self._since = None
            return 0.0
        self._since = self._since or self._began() or time.time()
        return time.time() - self._since


class _Log:
    """A log that somebody else writes, read line by line as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def new_lines(self) -> Iterator[str]:
        """Lines completed since the last call."""
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < self._offset:  # the job was started again, with a new log
            self._offset = 0
        if size == self._offset:
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
        self._seen = self._look()
        self._changed = self._looked = time.monotonic()

    def silence_s(self, running: bool) -> float:
        """Seconds since something was last seen to be written; a job that does not run owes none."""
        now = time.monotonic()
        if not running:
            self._changed = now
        elif now - self._looked >= self._look_every_s:
            self._looked = now
            if (seen := self._look()) != self._seen:
                self._seen, self._changed = seen, now
        return now - self._changed

    def _look(self) -> tuple[int, int, int]:
        """What differs as soon as any file does; not the latest time alone, for clocks are set, and differ."""
        files = size_bytes = changed_ns = 0
        for path in (self._log, self._working, *_below(self._working)):
            with suppress(OSError):  # CASA deletes while we look, and a network file system shows it late
                found = path.stat()
                files, size_bytes, changed_ns = files + 1, size_bytes + found.st_size, changed_ns + found.st_mtime_ns
        return files, size_bytes, changed_ns


def _below(folder: Path) -> Iterator[Path]:
    """All that is in a folder, as far as it can be listed: one that CASA has deleted meanwhile is passed over."""
    for parent, folders, files in os.walk(folder):  # errors are ignored, on purpose
        yield from (Path(parent, name) for name in (*folders, *files))


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.0f} s"
