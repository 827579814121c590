"""Run the restores of execution blocks side by side, each in a fresh process, and tell how each ended."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import asdm_rows
import casa_log
from plan import EbJob
from signs import RestoreFailed, casa_failed, corrupt

_RESTORE_EB = Path(__file__).with_name("restore_eb.py")
_CANNOT_WRITE = re.compile(r"write error|No space left|Disk quota exceeded")
_NO_MEMORY = re.compile(r"bad_alloc|Cannot allocate memory|MemoryError")
_LAST_WORDS = re.compile(r"(?:! |\s*what\(\):\s*)(.*)")  # of restore_eb.py, and of C++ when it aborts
_READING_RAW_DATA = ("importasdm", "row count")


def restore_side_by_side(jobs: Sequence[EbJob], cores: int) -> None:
    """Restore all execution blocks, at most `cores` at once, the biggest first.

    Raises:
        RestoreFailed: of the first that failed; the others are stopped.
    """
    biggest_first = sorted(jobs, key=lambda job: job.raw_bytes, reverse=True)
    crew = _Crew(len(jobs))
    try:
        with ThreadPoolExecutor(cores) as threads:
            list(threads.map(crew.restore, biggest_first))
    finally:
        _join_command_logs(jobs)
    if crew.failure:
        raise crew.failure


class _Crew:
    """The processes of one restore; the first failure stops them all."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._started = 0
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self.failure: RestoreFailed | None = None

    def restore(self, job: EbJob) -> None:
        with self._lock:
            if self.failure:
                return
            self._started += 1
            name = f"EB {self._started}/{self._total} {job.eb}"
            process = subprocess.Popen(
                [sys.executable, str(_RESTORE_EB)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            self._running.add(process)
        with suppress(BrokenPipeError), process.stdin as stdin:  # one that dies at once tells why below
            json.dump(job.to_json(), stdin)
        said = _Said(name)
        for line in process.stdout:
            said.hear(line.rstrip())
        failure = _failure(job, process.wait(), said)
        with self._lock:
            self._running.discard(process)
            if failure and not self.failure:
                self.failure = failure
                for other in self._running:
                    other.kill()


class _Said:
    """What one process told: passed on to people, and remembered where it matters to us."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.step = "start"
        self.failure: RestoreFailed | None = None
        self.reason = ""

    def hear(self, line: str) -> None:
        if line.startswith("> "):
            self.step = line[2:]
        elif failure := RestoreFailed.from_line(line):
            self.failure = failure
        elif last_words := _LAST_WORDS.fullmatch(line):
            self.reason = last_words[1]
        elif not casa_log.is_noise(line):
            print(f"{self._name} {line}", flush=True)


def _failure(job: EbJob, exit_code: int, said: _Said) -> RestoreFailed | None:
    """Why this process ended; None if it did its work."""
    if exit_code == 0 or said.failure:
        return said.failure
    where = f"in {said.step} of {job.eb}"
    if exit_code == -signal.SIGKILL or _NO_MEMORY.search(said.reason):
        return casa_failed(job.eb, f"CASA was killed {where}: did the machine run out of memory?")
    if _CANNOT_WRITE.search(said.reason):
        return casa_failed(job.eb, f"CASA could not write {where}: is the disk full? ({said.reason})")
    how = f"CASA crashed ({signal.Signals(-exit_code).name}) {where}" if exit_code < 0 else f"CASA failed {where}"
    if said.step.startswith(_READING_RAW_DATA):
        why = _damage(job) or said.reason or "CASA does not say which table"
        return corrupt(job.eb, f"{how}: the raw data are damaged ({why}). Fetch them again.")
    return casa_failed(job.eb, f"{how}: {said.reason or 'it gives no reason'}.")


def _damage(job: EbJob) -> str:
    told = casa_log.damage(Path(f"casa-{job.eb}.log"))
    return told or ", ".join(f"{table} is not well-formed" for table in asdm_rows.unreadable_tables(Path(job.asdm)))


def _join_command_logs(jobs: Sequence[EbJob]) -> None:
    """One casa_commands.log, execution block after execution block."""
    with Path("casa_commands.log").open("w") as joined:
        joined.write("# CASA task calls of this restore, one execution block after the other\n")
        for job in jobs:
            part = Path(f"casa_commands-{job.eb}.log")
            if part.exists():
                joined.write(part.read_text())
                part.unlink()
