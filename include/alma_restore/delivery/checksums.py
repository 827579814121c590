"""SHA256SUMS: computed with several threads, written and read as `sha256sum` does."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_CHUNK = 1 << 20
_THREADS = min(4, os.cpu_count() or 1)

T = TypeVar("T")
V = TypeVar("V")


def sha256(path: Path) -> str:
    """The checksum of a file's content; other threads run while it is computed."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def sums_text(sums: Mapping[str, str]) -> str:
    """The content of SHA256SUMS for these names; `sha256sum -c` understands it."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def read_sums(text: str) -> dict[str, str] | None:
    """The checksums by name; None if the text is not that of a SHA256SUMS file."""
    lines = [_LINE.fullmatch(line) for line in text.splitlines()]
    return {line[2]: line[1] for line in lines if line} if lines and all(lines) else None


def side_by_side(work: Callable[[T], V], items: Iterable[T]) -> list[V]:
    """Do a work that reads or writes files for several items at once; the first error stops it."""
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(work, items))
