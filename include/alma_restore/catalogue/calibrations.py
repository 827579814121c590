"""Calibrations seen in the archive: what is new, and what waits for its restore. Cursors of the long walks, too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from alma_restore.archive.records import Calibration
from alma_restore.catalogue.engine import Store, utc_now
from alma_restore.catalogue.records import CalibrationRecord, Verdict, record
from alma_restore.catalogue.schema import CalibrationRow, CursorRow, RequestRow
from alma_restore.request import UNASKED
from alma_restore.uid import Uid

_A_BATCH = 500
"""Calibrations in one transaction: long walks do not keep others from writing."""

T = TypeVar("T")


class Calibrations(Store):
    """The calibrations in the catalogue, one row for each MOUS and set of its product files."""

    def record_calibrations(
        self, judged: Iterable[tuple[Calibration, Verdict]], seen_by: str
    ) -> tuple[CalibrationRecord, ...]:
        """Store calibrations with the decision on each; returns those that are new, or decided otherwise than before.

        What is known already is left alone, however often and by however many processes it is recorded.

        Args:
            judged: consumed as a stream.
            seen_by: who saw them: `detection`, `sweep`, ...
        """
        news: list[CalibrationRecord] = []
        for batch in _batches(judged, _A_BATCH):
            with self._write("calibrations") as session:
                known = _known(session, [calibration.mous_uid for calibration, _ in batch])
                for calibration, verdict in batch:
                    row = known.get((calibration.mous_uid, calibration.fingerprint))
                    decision = "restore" if verdict.restorable else "refused"
                    if row is None:
                        row = CalibrationRow(
                            mous_uid=calibration.mous_uid,
                            fingerprint=calibration.fingerprint,
                            first_seen=utc_now(),
                            calibrated_at=calibration.calibrated_at,
                            seen_by=seen_by,
                        )
                        known[row.mous_uid, row.fingerprint] = row
                        session.add(row)
                    elif row.decision == decision:
                        continue
                    row.decision, row.code, row.reason = decision, verdict.code, verdict.sentence
                    news.append(record(CalibrationRecord, row))
        return tuple(news)

    def pending_calibrations(self, mous_uids: Collection[Uid] | None = None) -> tuple[CalibrationRecord, ...]:
        """Restorable calibrations that nobody has requested yet, oldest first; of one MOUS the latest delivery only.

        A person's request that was refused, failed or was cancelled does not count: it may have been its own fault.

        Args:
            mous_uids: only those of these MOUSs; None: all.
        """
        pending = select(CalibrationRow).where(is_pending())
        with self._read() as session:
            if mous_uids is None:
                rows = list(session.scalars(pending))
            else:
                some = (pending.where(CalibrationRow.mous_uid.in_(uids)) for uids in _batches(mous_uids, _A_BATCH))
                rows = [row for each in some for row in session.scalars(each)]
            return tuple(record(CalibrationRecord, row) for row in sorted(rows, key=lambda row: row.id))

    def calibrations_of(self, mous_uids: Collection[Uid]) -> dict[Uid, CalibrationRecord]:
        """The latest calibration recorded of each of these MOUSs, as far as they are known."""
        with self._read() as session:
            rows = [row for uids in _batches(mous_uids, _A_BATCH) for row in _known(session, uids).values()]
            rows.sort(key=lambda row: row.id)
            return {row.mous_uid: record(CalibrationRecord, row) for row in rows}

    def calibrations(self, limit: int = 1000, offset: int = 0) -> tuple[CalibrationRecord, ...]:
        """The calibrations seen, in the order in which they were first seen."""
        rows = select(CalibrationRow).order_by(CalibrationRow.id).limit(limit).offset(offset)
        with self._read() as session:
            return tuple(record(CalibrationRecord, row) for row in session.scalars(rows))

    def calibration_counts(self) -> dict[str, int]:
        """How many calibrations there are by decision code."""
        counts = select(CalibrationRow.code, func.count()).group_by(CalibrationRow.code)
        with self._read() as session:
            return dict(session.execute(counts).tuples().all())

    def cursor(self, name: str) -> str:
        """Where the walk of this name stopped; empty at its start."""
        with self._read() as session:
            row = session.get(CursorRow, name)
            return "" if row is None else row.value

    def set_cursor(self, name: str, value: str) -> None:
        with self._write("cursor") as session:
            session.merge(CursorRow(name=name, value=value))


def is_pending() -> ColumnElement[bool]:
    """Whether a calibration still waits for its request (`Calibrations.pending_calibrations`)."""
    later = aliased(CalibrationRow)
    requested = exists().where(
        RequestRow.mous_uid == CalibrationRow.mous_uid,
        RequestRow.fingerprint == CalibrationRow.fingerprint,
        or_(RequestRow.origin.in_(UNASKED), RequestRow.state.not_in(("refused", "failed", "cancelled"))),
    )
    superseded = exists().where(later.mous_uid == CalibrationRow.mous_uid, later.id > CalibrationRow.id)
    return and_(CalibrationRow.decision == "restore", ~requested, ~superseded)


def _known(session: Session, mous_uids: Sequence[Uid]) -> dict[tuple[Uid, str], CalibrationRow]:
    rows = session.scalars(select(CalibrationRow).where(CalibrationRow.mous_uid.in_(mous_uids)))
    return {(row.mous_uid, row.fingerprint): row for row in rows}


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
