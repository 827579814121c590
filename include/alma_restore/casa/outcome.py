"""Did CASA really restore the data? An exit code alone does not tell (DOMAIN section 12)."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from alma_restore import guarded_xml
from alma_restore.casa import attempts
from alma_restore.casa.failure_signs import Told, is_noise, read_line
from alma_restore.casa.launchers.base import JobState
from alma_restore.errors import CasaFailed, Corrupt, RestoreError
from alma_restore.workspace import Workspace

_TAIL_LINES = 30
_CRASHES = {128 + number: number.name for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)}
_READING_RAW_DATA = "importasdm"
_REMEDIES = {
    "it used": "Raise casa.memory_bytes in the settings, or lower casa.cores: fewer execution blocks at once use less.",
    "it exceeded its time limit": "Raise casa.time_limit_s in the settings, if the partition allows for more.",
}
"""By what a launcher's note begins with, of a job that was cut short; the rest of it holds names of nodes."""

_SPLIT = "_targets.ms"
_EARLIER_SPLITS = ("_target.ms", "_cont.ms")
"""What `hif_mstransform` called it up to 2021.2 (tag 2021.2.0.128), and from 2021.3 to 2022.1 (tag 2022.1.1.0)."""


def judge(workspace: Workspace, state: JobState) -> None:
    """Hold an ended CASA run against every sign of failure there is.

    Checked are the exit code, `errorexit-*.txt` in working/ and products/, the lines of the logs, and that each
    execution block of the PPR has its MeasurementSet; what an older pipeline has split off gets the name that newer
    ones give it. What is in the MeasurementSets is `verification`'s work.

    Raises:
        Corrupt: raw data or calibration products are damaged.
        Inconsistent: PPR and manifest contradict each other.
        Refused: the engine cannot do this; nothing was started.
        CasaFailed: anything else. Each carries the end of the log.

    Source: DOMAIN section 12, contract 5 of the design.
    """
    told = _told_by_log(workspace)
    error = _told_by_exit(workspace, state) or _told_by_files(workspace)
    if told and (error or told.decisive):
        error = told.error
    if error is not None:
        error.log_tail = log_tail(workspace)
        raise error


def log_tail(workspace: Workspace, lines: int = _TAIL_LINES) -> str:
    """The last lines of CASA's output that say something."""
    attempt = attempts.latest(workspace)
    meaningful: deque[str] = deque(maxlen=lines)
    if attempt is not None:
        meaningful.extend(line for line in _lines(attempt.log) if not is_noise(line))
    return "\n".join(meaningful)


def _told_by_log(workspace: Workspace) -> Told | None:
    """The most telling line of all logs of this attempt; decisive if any of them is."""
    found = [told for log in _logs(workspace) for line in _lines(log) if (told := read_line(line))]
    if not found:
        return None
    return replace(min(found, key=lambda told: told.rank), decisive=any(told.decisive for told in found))


def _told_by_exit(workspace: Workspace, state: JobState) -> RestoreError | None:
    code = state.exit_code
    if code == 0:
        return None
    if code is None:
        remedy = next((_REMEDIES[begins] for begins in _REMEDIES if state.note.startswith(begins)), "Run it again.")
        return CasaFailed(f"CASA left no exit code: {state.note}.", remedy=remedy)
    if code in _CRASHES and _last_task(workspace) == _READING_RAW_DATA:
        return Corrupt(
            f"CASA crashed ({_CRASHES[code]}) in importasdm: the raw data of an execution block are damaged.",
            remedy="The log's end shows which one; fetch its raw data again.",
        )
    if code == 128 + signal.SIGKILL:
        return CasaFailed("CASA was killed (SIGKILL).", remedy="Did the machine run out of memory?")
    how = f"crashed ({_CRASHES[code]})" if code in _CRASHES else f"ended with exit code {code}"
    return CasaFailed(f"CASA {how} and gives no reason.", remedy="See the end of its log.")


def _told_by_files(workspace: Workspace) -> RestoreError | None:
    for folder in (workspace.working, workspace.products):
        for file in folder.glob("errorexit-*.txt"):
            return CasaFailed(f"The pipeline left {folder.name}/{file.name}: it failed.", remedy="See the log's end.")
    _rename_splits(workspace)
    missing = [name for name in _wanted(workspace) if not (workspace.working / name / "table.dat").is_file()]
    if missing:
        return CasaFailed(f"CASA ended well, but without {', '.join(missing)}.", remedy="See the log's end.")
    return None


def _wanted(workspace: Workspace) -> list[str]:
    """The MeasurementSets that the PPR asks for: one an execution block, and one more where targets are split off."""
    ppr = guarded_xml.parse(workspace.ppr)
    ebs = [name.text.strip() for name in ppr.iter("{*}AsdmDiskName") if name.text]
    splits = any(command.text == "hif_mstransform" for command in ppr.iter("{*}Command"))
    return [f"{eb}.ms" for eb in ebs] + [f"{eb}{_SPLIT}" for eb in ebs if splits]


def _rename_splits(workspace: Workspace) -> None:
    """Give what an earlier pipeline has split off the name that later ones give it."""
    for split in (workspace.working / name for name in _wanted(workspace) if name.endswith(_SPLIT)):
        for suffix in _EARLIER_SPLITS:
            made = split.with_name(split.name.removesuffix(_SPLIT) + suffix)
            if made.is_dir() and not split.exists():
                made.rename(split)


def _last_task(workspace: Workspace) -> str:
    """The CASA task that was running when the log ended."""
    last = ""
    for log in sorted(workspace.working.glob("casa*.log"), key=lambda path: path.stat().st_mtime):
        for line in _lines(log):
            if "##### Begin Task: " in line:
                last = line.partition("##### Begin Task: ")[2].split()[0]
            elif "##### End Task: " in line:
                last = ""
    return last


def _logs(workspace: Workspace) -> Iterator[Path]:
    attempt = attempts.latest(workspace)
    if attempt is not None:
        yield attempt.log
    yield from sorted(workspace.working.glob("casa*.log"))


def _lines(log: Path) -> Iterator[str]:
    if log.is_file():
        with log.open(errors="replace") as text:
            for line in text:
                yield line.rstrip("\n")
