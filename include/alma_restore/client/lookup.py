"""Look-ups in the archive: which MOUS is meant, and can it be restored?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from alma_restore.archive.metadata import Metadata
from alma_restore.archive.search import Found, Search, Wanted
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import Refused
from alma_restore.rules import eligibility
from alma_restore.uid import Uid


@dataclass(frozen=True, slots=True)
class FoundMous:
    """One MOUS of the archive.

    Attributes:
        passed: its execution blocks with QA0 Pass, which a restore uses; eb_uids: all of them, in order of observation.
        restorable: whether it can be restored; code and reason say why, or why not.
        state: of its newest restore; empty: nobody asked for one.
    """

    mous_uid: Uid
    projects: tuple[str, ...]
    sources: tuple[str, ...]
    bands: tuple[str, ...]
    calibrated_at: datetime | None
    eb_uids: tuple[Uid, ...]
    passed: int
    restorable: bool
    code: str
    reason: str
    state: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it for machines; times as ISO text."""
        at = self.calibrated_at
        return {**asdict(self), "calibrated_at": at and at.isoformat()}


def find_mous(
    metadata: Metadata, catalogue: Catalogue | None, text: str = "", *, source: str = "", limit: int = 25
) -> tuple[list[FoundMous], bool]:
    """The MOUSs that somebody means, and whether there are more than `limit`.

    Args:
        text: an MOUS uid, the uid of one of its execution blocks, or the beginning of a project code.
        source: the beginning of a source's name, as the archive spells it.
    """
    try:
        wanted = Wanted(uid=Uid(text), source=source)
    except Refused:
        wanted = Wanted(project=text.strip().upper(), source=source)
    page = Search(metadata).page(wanted, limit)
    states = (
        {uid: told.state for uid, told in catalogue.latest_of([f.mous_uid for f in page.found]).items()}
        if catalogue
        else {}
    )
    return [_mous(found, states.get(found.mous_uid, "")) for found in page.found], page.next is not None


def _mous(found: Found, state: str) -> FoundMous:
    calibration = found.calibration
    verdict = eligibility.judge(calibration)
    return FoundMous(
        mous_uid=found.mous_uid,
        projects=found.projects,
        sources=found.sources,
        bands=found.bands,
        calibrated_at=calibration.calibrated_at,
        eb_uids=tuple(block.uid for block in calibration.execution_blocks),
        passed=len(calibration.passed),
        restorable=verdict.restorable,
        code=verdict.code,
        reason=verdict.sentence,
        state=state,
    )
