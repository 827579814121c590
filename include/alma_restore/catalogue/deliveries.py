"""Deliveries: what was delivered where, and when it may be removed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select

from alma_restore.catalogue.engine import Store, utc_now
from alma_restore.catalogue.records import DeliveryRecord, record
from alma_restore.catalogue.requests import locked, move
from alma_restore.catalogue.schema import DeliveryRow, RequestRow
from alma_restore.catalogue.states import DELIVERED, ENDS

_STANDS = ENDS - {"expired"}
"""What was delivered may stand in all of these: tried again, a delivered request can fail or be cancelled."""


class Deliveries(Store):
    """The deliveries in the catalogue, at most one a request."""

    def record_delivery(
        self,
        request_id: str,
        *,
        destination: str,
        path: str,
        size_bytes: int,
        files: int,
        sha256: str,
        expires_at: datetime | None,
    ) -> DeliveryRecord:
        """Store what a request delivered; delivered again, the record is renewed and a wish to keep it stays."""
        with self._write() as session:
            row = session.get(DeliveryRow, request_id, with_for_update=True)
            if row is None:
                row = DeliveryRow(request_id=request_id, keep=False)
                session.add(row)
            row.destination, row.path, row.sha256 = destination, path, sha256
            row.size_bytes, row.files = size_bytes, files
            row.delivered_at, row.expires_at = utc_now(), expires_at
            row.warned_at = row.removed_at = None
            return record(DeliveryRecord, row)

    def delivery(self, request_id: str) -> DeliveryRecord | None:
        with self._read() as session:
            row = session.get(DeliveryRow, request_id)
            return None if row is None else record(DeliveryRecord, row)

    def keep_delivery(self, request_id: str, keep: bool = True) -> None:
        """Keep a delivery beyond its expiry, or no longer; without a delivery nothing happens."""
        self._mark(request_id, keep=keep)

    def renew_delivery(self, request_id: str, expires_at: datetime) -> bool:
        """Somebody else wants what was delivered: it is kept until then, if that is longer.

        Returns:
            Whether it stays; False once its time is over, for it may be removed at any moment.
        """
        with self._write() as session:
            locked(session, request_id)
            row = session.get(DeliveryRow, request_id, with_for_update=True)
            if row is None or row.removed_at is not None:
                return False
            if row.keep or row.expires_at is None:
                return True
            if row.expires_at <= utc_now():
                return False
            if row.expires_at < expires_at:
                row.expires_at, row.warned_at = expires_at, None
            return True

    def due_deliveries(self, now: datetime) -> tuple[DeliveryRecord, ...]:
        """Deliveries to be removed: expired and not asked to be kept, or left over from a removal cut short.

        A request that is at work again is not among them: it may be delivering just now.
        """
        expired = and_(RequestRow.state.in_(_STANDS), DeliveryRow.expires_at <= now, DeliveryRow.keep.is_(False))
        return self._standing(or_(expired, RequestRow.state == "expired"))

    def expiring_deliveries(self, before: datetime) -> tuple[DeliveryRecord, ...]:
        """Deliveries that expire before this moment and whose requester has not been told."""
        soon = and_(DeliveryRow.expires_at < before, DeliveryRow.keep.is_(False), DeliveryRow.warned_at.is_(None))
        return self._standing(and_(RequestRow.state.in_(_STANDS), soon))

    def mark_warned(self, request_id: str) -> None:
        """The requester has been told that the delivery is about to expire."""
        self._mark(request_id, warned_at=utc_now())

    def expire(self, request_id: str, now: datetime) -> bool:
        """Mark a due delivery as expired, before anybody touches it; a request that ended otherwise stays so.

        Returns:
            Whether it may be removed: False if it was reopened, renewed or asked to be kept in the meantime.
        """
        with self._write() as session:
            request = locked(session, request_id)
            row = session.get(DeliveryRow, request_id, with_for_update=True)
            due = row is not None and not row.keep and row.expires_at is not None and row.expires_at <= now
            if due and request.state in DELIVERED:
                move(session, request, "expired", request.stage, "Kept as long as the policy says.")
            return request.state == "expired" or (due and request.state in _STANDS)

    def mark_removed(self, request_id: str) -> None:
        """The expired delivery is gone."""
        self._mark(request_id, removed_at=utc_now())

    def _standing(self, wanted: ColumnElement[bool]) -> tuple[DeliveryRecord, ...]:
        rows = (
            select(DeliveryRow)
            .join(RequestRow, RequestRow.id == DeliveryRow.request_id)
            .where(DeliveryRow.removed_at.is_(None), wanted)
            .order_by(DeliveryRow.expires_at)
        )
        with self._read() as session:
            return tuple(record(DeliveryRecord, row) for row in session.scalars(rows))

    def _mark(self, request_id: str, **facts: object) -> None:
        with self._write() as session:
            row = session.get(DeliveryRow, request_id, with_for_update=True)
            if row is not None:
                for name, value in facts.items():
                    setattr(row, name, value)
