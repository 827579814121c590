"""How a restore tells that it failed: one line, an exit code, and the files the ALMA pipeline would leave."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path

KINDS = ("corrupt", "inconsistent", "misconfigured", "refused", "casa_failed")


class RestoreFailed(Exception):
    """The restore cannot be done, or was not.

    Args:
        kind: one of `KINDS`; the caller's error class.
        subject: the execution block or file it is about.
        sentence: what happened, to which file, and what to do.
    """

    def __init__(self, kind: str, subject: str, sentence: str) -> None:
        super().__init__(kind, subject, sentence)
        self.kind, self.subject, self.sentence = kind, subject, sentence

    def line(self) -> str:
        """The one line in the log that whoever started us looks for."""
        return f"FAILED {self.kind} {self.subject}: {' '.join(self.sentence.split())}"

    @classmethod
    def from_line(cls, line: str) -> RestoreFailed | None:
        """Read back what `line` wrote; None when it is some other line."""
        head, _, sentence = line.strip().partition(": ")
        words = head.split(" ", 2)
        if len(words) == 3 and words[0] == "FAILED" and words[1] in KINDS:
            return cls(words[1], words[2], sentence)
        return None


corrupt = partial(RestoreFailed, "corrupt")
inconsistent = partial(RestoreFailed, "inconsistent")
misconfigured = partial(RestoreFailed, "misconfigured")
refused = partial(RestoreFailed, "refused")
casa_failed = partial(RestoreFailed, "casa_failed")


def write_errorexit(working: Path, products: Path) -> None:
    """Leave the empty `errorexit-<UTC>.txt` in working/ and products/, as the pipeline does (DOMAIN section 12)."""
    name = time.strftime("errorexit-%Y%m%dT%H%M%S.txt", time.gmtime())
    for folder in (working, products):
        with suppress(OSError):  # the disk may be what failed
            (folder / name).touch()
