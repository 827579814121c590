"""One MOUS as the pages show it: what the archive says of it, and what can be done or is being done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alma_restore.archive.search import Found
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import ACTIVE, DELIVERED
from alma_restore.errors import Inconsistent
from alma_restore.restore.fetching import wanted_products
from alma_restore.restore.house import House
from alma_restore.rules import eligibility, sessions
from alma_restore.rules.eligibility import Verdict
from alma_restore.uid import Uid

FEW_WORDS = {
    "no_science_products": "calibration not complete",
    "manual_calibration": "manual calibration",
    "single_dish": "single dish",
    "no_pass_eb": "no EB passed QA0",
    "before_2017_10": "before October 2017",
    "no_manifest": "no pipeline manifest",
    "no_caltables": "no calibration tables",
}
"""Why an MOUS cannot be restored, as short as a cell of a table."""

STATE_WORDS = {
    "accepted": "waiting",
    "running": "restoring",
    "delivered": "restored",
    "delivered_with_warnings": "restored, with warnings",
    "refused": "refused",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}

Tone = Literal["good", "busy", "bad", "quiet"]
TONES: dict[str, Tone] = {
    "accepted": "busy",
    "running": "busy",
    "delivered": "good",
    "delivered_with_warnings": "good",
    "refused": "bad",
    "failed": "bad",
}


@dataclass(frozen=True, slots=True)
class Mous:
    """What the archive says of one MOUS.

    Attributes:
        sessions: how many; None where the archive contradicts itself.
        raw_bytes: of the execution blocks that a restore uses; None where the archive cannot tell.
    """

    found: Found
    verdict: Verdict
    sessions: int | None
    raw_bytes: int | None

    @property
    def uid(self) -> Uid:
        return self.found.mous_uid

    @property
    def restore_bytes(self) -> int | None:
        """What a restore fetches: raw data, calibration products and scripts; None where nobody can tell."""
        wanted = wanted_products(self.found.calibration.files)
        return None if self.raw_bytes is None else self.raw_bytes + sum(file.size_bytes or 0 for file in wanted)

    @property
    def arrays(self) -> tuple[str, ...]:
        return self.found.calibration.requested_arrays

    @property
    def passed(self) -> int:
        return len(self.found.calibration.passed)

    @property
    def all_ebs(self) -> int:
        return len(self.found.calibration.execution_blocks)


@dataclass(frozen=True, slots=True)
class Row:
    """One MOUS with its latest request, if there is any."""

    mous: Mous
    request: RequestRecord | None

    @property
    def request_words(self) -> str:
        return STATE_WORDS[self.request.state] if self.request else ""

    @property
    def request_tone(self) -> Tone:
        return TONES.get(self.request.state, "quiet") if self.request else "quiet"

    @property
    def is_new_delivery(self) -> bool:
        """Whether the archive has other products by now than the latest request was about."""
        known = self.request.fingerprint if self.request else ""
        return bool(known) and known != self.mous.found.calibration.fingerprint

    @property
    def can_restore(self) -> bool:
        """Whether a Restore button makes sense: possible, and neither under way nor done for these products."""
        settled = self.request is not None and self.request.state in ACTIVE | DELIVERED and not self.is_new_delivery
        return self.mous.verdict.restorable and not settled

    @property
    def why_not(self) -> str:
        verdict = self.mous.verdict
        return "" if verdict.restorable else FEW_WORDS.get(verdict.code, verdict.code.replace("_", " "))


def told(house: House, found: Sequence[Found]) -> tuple[Mous, ...]:
    """Decide on MOUSs that a search found, and add what the table shows of them."""
    return tuple(
        Mous(each, eligibility.judge(each.calibration), _sessions(each), _raw_bytes(house, each)) for each in found
    )


def with_requests(house: House, mouss: Sequence[Mous]) -> list[Row]:
    latest = house.catalogue.latest_of([mous.uid for mous in mouss])
    return [Row(mous, latest.get(mous.uid)) for mous in mouss]


def _sessions(found: Found) -> int | None:
    try:
        return len(sessions.number_sessions(found.calibration.execution_blocks))
    except Inconsistent:
        return None


def _raw_bytes(house: House, found: Found) -> int | None:
    sizes = [house.archive.raw_bytes(block.uid) for block in found.calibration.passed]
    return sum(size or 0 for size in sizes) if sizes and all(sizes) else None
