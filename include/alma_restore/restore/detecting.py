"""Detecting: which MOUSs were calibrated lately, and which of them are to be restored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from alma_restore.archive.records import Calibration
from alma_restore.catalogue.engine import utc_now
from alma_restore.catalogue.figures import DETECTION_CURSOR
from alma_restore.catalogue.records import CalibrationRecord
from alma_restore.request import Origin
from alma_restore.restore.house import House
from alma_restore.rules import eligibility
from alma_restore.uid import Uid


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that detection asks for: the run to start, and its request."""

    run_id: str
    conf: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def detect(house: House, start: datetime, end: datetime, backfill: bool) -> list[Restore]:
    """Decide on every MOUS calibrated in a window, remember the decisions, and name the restores still to be asked for.

    Args:
        start, end: the data interval (UTC); the window reaches `detection.window_days` back from its end, so that
            windows overlap.

    Returns:
        One restore for each restorable calibration of this window that has no request yet, however often it is asked.

    Raises:
        NotAvailable: the archive's database does not answer.
    """
    start = min(start, end - timedelta(days=house.settings.detection.window_days))
    found = house.archive.metadata.calibrated_between(start, end)
    if backfill:
        return _record(house, found, "backfill")
    restores = _record(house, found, "detection")
    house.catalogue.set_cursor(DETECTION_CURSOR, utc_now().isoformat())
    return restores


def judge(house: House, calibrations: Iterable[Calibration], seen_by: str = "detection") -> set[tuple[Uid, str]]:
    """Record calibrations with the decision on each; which they are, by MOUS and fingerprint."""
    judged = [(calibration, eligibility.judge(calibration)) for calibration in calibrations]
    house.catalogue.record_calibrations(judged, seen_by=seen_by)
    return {(calibration.mous_uid, calibration.fingerprint) for calibration, _ in judged}


def pending(house: House, origin: Origin) -> list[Restore]:
    """All restores that are still to be asked for, whoever found them, oldest first."""
    return [_restore(house, each, origin) for each in house.catalogue.pending_calibrations()]


def _record(house: House, calibrations: Iterable[Calibration], origin: Origin) -> list[Restore]:
    """Record calibrations with the decision on each; the restores to be asked for, oldest calibration first."""
    seen = judge(house, calibrations)
    waiting = house.catalogue.pending_calibrations({mous_uid for mous_uid, _ in seen})
    return [_restore(house, each, origin) for each in waiting if (each.mous_uid, each.fingerprint) in seen]


def _restore(house: House, calibration: CalibrationRecord, origin: Origin) -> Restore:
    run_id = f"mous__{calibration.mous_uid.sanitised}__{calibration.fingerprint[:8]}"
    return Restore(
        run_id,
        {
            "mous_uid": calibration.mous_uid,
            "email": house.settings.detection.email,
            "origin": origin,
            "requested_by": "detect_calibrations",
            "correlation_id": run_id,
            "fingerprint": calibration.fingerprint,
        },
    )
