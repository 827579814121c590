"""Which of the SchedBlocks linked to an MOUS the PPR names."""

from __future__ import annotations

from collections.abc import Iterable

from alma_restore.archive.records import SchedBlock
from alma_restore.errors import Refused

PREFERRED = ("FullyObserved", "PartiallyObserved", "Suspended")
"""States in order of preference; any other comes after them. [guess]"""

NEVER = ("Deleted", "Canceled")
"""States of SchedBlocks that gave no data. [guess]"""


def choose(sched_blocks: Iterable[SchedBlock]) -> SchedBlock:
    """Choose the SchedBlock that the PPR refers to; among equals the one with the lowest uid.

    Raises:
        Refused: (code `no_sched_block`) there is none, or all are deleted or cancelled.

    Source: DOMAIN section 3.
    """
    linked = list(sched_blocks)
    usable = [sched_block for sched_block in linked if sched_block.state not in NEVER]
    if usable:
        return min(usable, key=_rank)
    states = ", ".join(f"{sched_block.uid} {sched_block.state}" for sched_block in linked)
    raise Refused(
        f"Every SchedBlock of the MOUS is deleted or cancelled: {states}." if linked else "The MOUS has no SchedBlock.",
        code="no_sched_block",
        remedy="Ask the archive to mend its metadata.",
    )


def _rank(sched_block: SchedBlock) -> tuple[int, str]:
    known = sched_block.state in PREFERRED
    return (PREFERRED.index(sched_block.state) if known else len(PREFERRED), sched_block.uid)
