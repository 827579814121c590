"""Raw execution blocks out of the observatory's archive, exported and checked."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alma_restore.archive import export_guard
from alma_restore.archive.asdm_structure import AsdmFacts, check_asdm
from alma_restore.archive.disk import writing
from alma_restore.archive.slots import hold_alone, slot
from alma_restore.archive.tries import tries
from alma_restore.errors import Corrupt, Misconfigured, NotAvailable
from alma_restore.settings import ExporterSettings
from alma_restore.uid import Uid

__all__ = ["AsdmExporter", "AsdmFacts", "check_asdm"]

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

_WITH_SETUP = 'setup=$1; shift; command=("$@"); set --; source "$setup" </dev/null; exec "${command[@]}"'
"""What bash is given: the script and the command are its arguments, never part of this text."""
_LONGEST_WAIT_S = 600.0
_LOOK_S = 1.0
_GRACE_S = 10.0
_TAIL_BYTES = 4000
_NO_SUCH_COMMAND = (126, 127)


class AsdmExporter:
    """Runs the observatory's export command, one execution block at a time."""

    def __init__(self, settings: ExporterSettings, lock_folder: Path) -> None:
        self._settings = settings
        self._lock_folder = lock_folder

    def export(self, eb_uid: Uid, into: Path, log: Path, progress: Progress | None = None) -> Path:
        """Bring one execution block into a folder, under its sanitised uid as its name.

        A folder that is there already is judged by its content. The command writes into a folder of its own, which
        gets the final name only once it is checked.

        Args:
            into: rawdata/ of the workspace.
            log: what the command prints is appended here.
            progress: called every second with the bytes and files written so far.

        Returns:
            The checked ASDM folder.

        Raises:
            NotAvailable: the command failed, broke off, or took too long; or the disk is full.
            Corrupt: what it wrote is damaged, at every try, though it says that all is well.
            Misconfigured: the command or its set-up script is not there, or the folder cannot be written.

        Source: DOMAIN section 6.
        """
        final = into / eb_uid.sanitised
        if _is_whole(final, eb_uid):
            return final
        settings = self._settings
        again = {NotAvailable: settings.tries, Corrupt: settings.tries}
        for attempt in tries(settings.tries, settings.retry_wait_s, _LONGEST_WAIT_S, again):
            with attempt, slot(self._lock_folder, "asdm_export", settings.at_once):
                self._try(eb_uid, final, log, progress or (lambda *_: None))
        return final

    def _try(self, eb_uid: Uid, final: Path, log: Path, progress: Progress) -> None:
        with writing(final.name, final.parent), _aside(final) as (aside, lock):
            if _is_whole(final, eb_uid):  # by now: another process may have exported it while we waited
                return
            exit_code = self._run(eb_uid, aside, lock, log, progress)
            exported = aside / final.name
            if not exported.is_dir():
                raise _failed(eb_uid, exit_code, log)
            try:
                _check(exported, eb_uid)  # the exit code is not documented: what counts is the folder
            except Corrupt as damage:
                if exit_code:
                    raise _broken_off(eb_uid, exit_code, damage, log) from damage
                raise
            _remove(final)
            exported.rename(final)

    def _run(self, eb_uid: Uid, folder: Path, lock: int, log: Path, progress: Progress) -> int:
        """The command's exit code, once it and everything that it started has ended."""
        log.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._settings.timeout_s
        with log.open("ab") as output, _started(self._command(eb_uid), folder, output.fileno(), lock) as process:
            while time.monotonic() < deadline:
                try:
                    return process.wait(timeout=min(_LOOK_S, max(deadline - time.monotonic(), 0)))
                except subprocess.TimeoutExpired:
                    progress(*_size(folder / eb_uid.sanitised))
        raise NotAvailable(
            f"The export of {eb_uid} was stopped after {self._settings.timeout_s:g} s.",
            remedy="Try again later, or allow more time in exporter.timeout_s.",
            log_tail=_tail(log),
        )

    def _command(self, eb_uid: Uid) -> list[str]:
        command = [*self._settings.command, str(eb_uid)]
        if not self._settings.setup_script:
            return command
        if not Path(self._settings.setup_script).is_file():
            raise Misconfigured(
                f"The set-up script {self._settings.setup_script} of the export command is not there.",
                remedy="Mend exporter.setup_script.",
            )
        return ["bash", "-c", _WITH_SETUP, "asdm-export", self._settings.setup_script, *command]


@contextmanager
def _aside(final: Path) -> Iterator[tuple[Path, int]]:
    """An empty folder beside the final one, for this process alone, and the file that locks it; both gone later."""
    folder, lock = (final.with_name(f".{final.name}.{word}") for word in ("export", "lock"))
    final.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:  # not the folder itself: a network file system locks only what is open for writing
        if not hold_alone(held.fileno(), lock):
            raise NotAvailable(f"Another process is exporting {final.name}.", remedy="Wait for it.")
        try:
            _remove(folder)
            folder.mkdir()
            yield folder, held.fileno()
        finally:
            _remove(folder)  # nothing in it is open: a network file system would keep that, and the folder with it
            lock.unlink(missing_ok=True)


@contextmanager
def _started(command: list[str], folder: Path, output: int, lock: int) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, of which nothing is left afterwards, however this ends.

    Its guard ends it when this process is killed, and holds the folder's lock until then.
    """
    guard = [sys.executable, "-I", export_guard.__file__, str(_GRACE_S)]
    try:
        process = subprocess.Popen(
            [*guard, *command],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(lock,),
        )
    except OSError as error:
        raise Misconfigured(
            f"The export command {command[0]} cannot be started: {error}.", remedy="Mend exporter.command."
        ) from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        log.warning("The export command does not end when asked to; killing it.")
    _signal(process.pid, signal.SIGKILL)
    process.communicate()


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        log.debug("Process group %d has ended.", group)


def _is_whole(folder: Path, eb_uid: Uid) -> bool:
    if not folder.is_dir() or folder.is_symlink():
        return False
    try:
        _check(folder, eb_uid)
    except Corrupt as damage:
        log.warning("%s Exporting %s anew.", damage.sentence, eb_uid)
        return False
    return True


def _check(folder: Path, eb_uid: Uid) -> None:
    facts = check_asdm(folder)
    if facts.uid != eb_uid:
        raise Corrupt(f"The export of {eb_uid} holds {facts.uid}.", remedy="Ask the archive about this block.")


def _failed(eb_uid: Uid, exit_code: int, log: Path) -> NotAvailable | Misconfigured:
    tail = _tail(log)
    if exit_code in _NO_SUCH_COMMAND:
        return Misconfigured("The export command cannot be run.", remedy="Mend exporter.command.", log_tail=tail)
    return NotAvailable(
        f"The export of {eb_uid} left no ASDM (exit code {exit_code}){_last_words(tail)}.",
        remedy="Look at its log; if the archive knows this block, try again later.",
        log_tail=tail,
    )


def _broken_off(eb_uid: Uid, exit_code: int, damage: Corrupt, log: Path) -> NotAvailable:
    tail = _tail(log)
    return NotAvailable(
        f"The export of {eb_uid} broke off (exit code {exit_code}) and what it left is damaged"
        f" ({damage.sentence.rstrip('.')}){_last_words(tail)}.",
        remedy="Try again later; if it always breaks off there, ask the archive about this block.",
        log_tail=tail,
    )


def _last_words(tail: str) -> str:
    return f": {tail.splitlines()[-1].rstrip('.')}" if tail else ""


def _size(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder that somebody is writing to."""
    sizes = []
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                sizes.append((Path(root) / name).stat().st_size)
            except FileNotFoundError:  # renamed since
                continue
    return sum(sizes), len(sizes)


def _tail(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(max(path.stat().st_size - _TAIL_BYTES, 0))
        return stream.read().decode(errors="replace").strip()


def _remove(path: Path) -> None:
    """Whatever is there, folder, file or link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
