"""The figures of operation, counted in the catalogue: who restarts, and where, changes none of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from alma_restore.catalogue.calibrations import is_pending
from alma_restore.catalogue.engine import Store
from alma_restore.catalogue.records import TRIED_AGAIN, Transition, record, stage_timings
from alma_restore.catalogue.schema import (
    CalibrationRow,
    CursorRow,
    DeliveryRow,
    RequestRow,
    ReservationRow,
    TransitionRow,
)
from alma_restore.catalogue.states import ACTIVE

DETECTION_CURSOR = "detection"
"""The cursor that tells when the archive was last looked through for new calibrations."""

_LINES = 10_000
"""Lines of history looked at, the newest; it bounds what stage durations and retries cost."""

Ends = dict[tuple[str, str], int]
"""How many requests there are by state and error code."""


@dataclass(frozen=True, slots=True)
class ActiveStage:
    """The requests that are in one stage now.

    Attributes:
        unchanged_since: when the one that has been still the longest last changed.
    """

    state: str
    stage: str
    requests: int
    unchanged_since: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """How things stand, and what has happened since a moment.

    Attributes:
        requests: all there are.
        ended: those that ended since.
        active: those that have not ended, by stage.
        stage_seconds: how long each stage took that ended since, of the latest lines of history.
        retries: how often each stage was repeated by itself since.
        delivered_bytes: since; standing_deliveries, standing_bytes: not yet removed.
        reserved_bytes: promised and not yet written, by the root of the spool.
        casa_peak_bytes: the most memory of each CASA run whose request ended since.
        pending: calibrations to be restored and not requested yet; pending_since: when the oldest was first seen.
        detected_at: when the archive was last looked through; calibration_at: when something new was found.
    """

    requests: Ends
    ended: Ends
    active: tuple[ActiveStage, ...]
    stage_seconds: dict[str, list[float]]
    retries: dict[str, int]
    delivered_bytes: int
    standing_deliveries: int
    standing_bytes: int
    reserved_bytes: dict[str, int]
    casa_peak_bytes: list[int]
    pending: int
    pending_since: datetime | None
    detected_at: datetime | None
    calibration_at: datetime | None


class FiguresStore(Store):
    """Counts in the catalogue; quick at a hundred thousand requests."""

    def figures(self, since: datetime) -> Figures:
        with self._read() as session:
            lines = _lines(session, since)
            standing, standing_bytes = _standing(session)
            pending, pending_since = _pending(session)
            return Figures(
                requests=_ends(session, None),
                ended=_ends(session, since),
                active=_active(session),
                stage_seconds=_stage_seconds(lines),
                retries=Counter(line.stage for _, line in lines if line.note.endswith(TRIED_AGAIN)),
                delivered_bytes=_delivered_bytes(session, since),
                standing_deliveries=standing,
                standing_bytes=standing_bytes,
                reserved_bytes=_reserved(session),
                casa_peak_bytes=_casa_peaks(session, since),
                pending=pending,
                pending_since=pending_since,
                detected_at=_detected_at(session),
                calibration_at=session.scalar(
                    select(CalibrationRow.first_seen).order_by(CalibrationRow.id.desc()).limit(1)
                ),
            )


def _ends(session: Session, since: datetime | None) -> Ends:
    count = select(RequestRow.state, RequestRow.error_code, func.count())
    if since:
        count = count.where(RequestRow.ended_at >= since)
    rows = session.execute(count.group_by(RequestRow.state, RequestRow.error_code)).tuples()
    return {(state, code): number for state, code, number in rows}


def _active(session: Session) -> tuple[ActiveStage, ...]:
    stage = (RequestRow.state, RequestRow.stage)
    rows = select(*stage, func.count(), func.min(RequestRow.updated_at)).where(RequestRow.state.in_(ACTIVE))
    return tuple(ActiveStage(*row) for row in session.execute(rows.group_by(*stage)).tuples())


def _lines(session: Session, since: datetime) -> list[tuple[str, Transition]]:
    last = select(func.max(TransitionRow.id)).scalar_subquery()
    rows = select(TransitionRow).where(TransitionRow.id > last - _LINES, TransitionRow.at >= since)
    return [(row.request_id, record(Transition, row)) for row in session.scalars(rows.order_by(TransitionRow.id))]


def _stage_seconds(lines: Iterable[tuple[str, Transition]]) -> dict[str, list[float]]:
    histories: dict[str, list[Transition]] = defaultdict(list)
    for request_id, line in lines:
        histories[request_id].append(line)
    seconds: dict[str, list[float]] = defaultdict(list)
    for history in histories.values():
        for timing in stage_timings(history):
            if timing.seconds is not None:
                seconds[timing.stage].append(timing.seconds)
    return dict(seconds)


def _delivered_bytes(session: Session, since: datetime) -> int:
    return int(session.scalar(select(func.sum(DeliveryRow.size_bytes)).where(DeliveryRow.delivered_at >= since)) or 0)


def _standing(session: Session) -> tuple[int, int]:
    standing = select(func.count(), func.sum(DeliveryRow.size_bytes)).where(DeliveryRow.removed_at.is_(None))
    number, size_bytes = session.execute(standing).one()
    return int(number), int(size_bytes or 0)


def _pending(session: Session) -> tuple[int, datetime | None]:
    pending = select(func.count(), func.min(CalibrationRow.first_seen)).where(is_pending())
    number, since = session.execute(pending).one()
    return int(number), since


def _reserved(session: Session) -> dict[str, int]:
    rows = select(ReservationRow).join(RequestRow, RequestRow.id == ReservationRow.request_id)
    reserved: dict[str, int] = defaultdict(int)
    for row in session.scalars(rows.where(RequestRow.state.in_(ACTIVE))):
        reserved[row.root] += row.outstanding_bytes
    return dict(reserved)


def _casa_peaks(session: Session, since: datetime) -> list[int]:
    peak = RequestRow.casa_peak_bytes
    return [size for size in session.scalars(select(peak).where(RequestRow.ended_at >= since)) if size is not None]


def _detected_at(session: Session) -> datetime | None:
    row = session.get(CursorRow, DETECTION_CURSOR)
    return None if row is None else datetime.fromisoformat(row.value)
