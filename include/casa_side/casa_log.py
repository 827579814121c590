"""Find in a CASA log why a task failed."""

from __future__ import annotations

import re
from pathlib import Path

_TABLE = re.compile(r"cannot convert table (\w+)")
_BINARY = re.compile(r"SDMDataObjectStreamReaderException:\s*(.*)")
_NOISE = re.compile(r"dUTC|TAI_UTC|Until the table is updated|times and coordinates derived from UTC")


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
