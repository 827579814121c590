"""Find in a CASA log why a task failed."""

from __future__ import annotations

import re
from pathlib import Path

_TABLE = re.compile(r"cannot convert table (\w+)")
_BINARY = re.compile(r"SDMDataObjectStreamReaderException:\s*(.*)")
_NOISE = re.compile(r"dUTC|TAI_UTC|Until the table is updated|times and coordinates derived from UTC")
_TASK_REPORT = re.compile(r"raised an exception of class|Check the logs for additional details")


def is_noise(line: str) -> bool:
    """Is this one of CASA's lines about out-of-date leap seconds, printed at every start at priority SEVERE?"""
    return bool(_NOISE.search(line))


def damage(log: Path) -> str:
    """What importasdm says of damaged raw data, most telling first; empty: nothing.

    It says so at priority INFO, and goes on (DOMAIN section 12).
    """
    text = log.read_text(errors="replace") if log.exists() else ""
    if tables := dict.fromkeys(_TABLE.findall(text)):
        return f"importasdm cannot read {', '.join(f'{table}.xml' for table in tables)}"
    if binaries := dict.fromkeys(_BINARY.findall(text)):
        return f"importasdm cannot read a binary file: {'; '.join(binaries).rstrip('.')}"
    return ""


def severe(log: Path) -> str:
    """The last line of priority SEVERE that says why; empty: none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    told = [line.split("\t", 3)[-1] for line in lines if "\tSEVERE\t" in line and not is_noise(line)]
    plain = [line for line in told if not _TASK_REPORT.search(line)]
    return (plain or told or [""])[-1].strip()
