"""Disk promised to running requests, so that no two are given the same space."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from alma_restore.catalogue.engine import Store, utc_now
from alma_restore.catalogue.schema import RequestRow, ReservationRow
from alma_restore.catalogue.states import ACTIVE
from alma_restore.errors import NotAvailable

_GIB = 1024**3


class Reservations(Store):
    """The disk reservations in the catalogue; one spool root, one account."""

    def reserve(
        self,
        request_id: str,
        root: Path,
        needed_bytes: int,
        *,
        free_bytes: Callable[[], int],
        spare_bytes: int = 0,
        used_bytes: int = 0,
    ) -> None:
        """Promise disk to a request; promised already, the figure is brought up to date.

        Of every other promise the part not yet written counts as taken. The free space is measured after the promises
        were read and while nobody else can reserve, so that an error can only be on the careful side.

        Args:
            root: the folder whose filesystem is meant; requests that share a disk name the same root.
            free_bytes: measures the filesystem, such as `lambda: shutil.disk_usage(root).free`.
            spare_bytes: never promised to anybody.
            used_bytes: what the request has written already; of one that is promised disk, what it told last counts.

        Raises:
            NotAvailable: there is too little; nothing is promised.
        """
        with self._write(f"reserve {root}") as session:
            own = session.get(ReservationRow, request_id)
            used_bytes = own.used_bytes if own else used_bytes
            promised = [row.outstanding_bytes for row in _active(session, root) if row is not own]
            free = free_bytes()
            missing = needed_bytes - used_bytes
            if missing > free - sum(promised) - spare_bytes:
                raise NotAvailable(
                    f"{root} has {_gib(free)} free, of which {_gib(sum(promised))} are promised to {len(promised)} "
                    f"other restores and {_gib(spare_bytes)} kept spare; this restore needs {_gib(missing)}.",
                    remedy="Try again when others have finished, or make room on that disk.",
                )
            facts = {"root": str(root), "size_bytes": needed_bytes, "used_bytes": used_bytes, "at": utc_now()}
            session.merge(ReservationRow(request_id=request_id, **facts))

    def report_used(self, request_id: str, used_bytes: int) -> None:
        """Say how much of its promise a request has written by now; without a promise nothing happens."""
        with self._write() as session:
            row = session.get(ReservationRow, request_id, with_for_update=True)
            if row is not None:
                row.used_bytes = used_bytes

    def release(self, request_id: str) -> None:
        """Give the promised disk back; given back already, nothing happens."""
        with self._write() as session:
            row = session.get(ReservationRow, request_id, with_for_update=True)
            if row is not None:
                session.delete(row)

    def is_promised(self, request_id: str) -> bool:
        """Whether disk is promised to a request."""
        with self._read() as session:
            return session.get(ReservationRow, request_id) is not None

    def reserved_bytes(self, root: Path) -> int:
        """What is promised below a root and not yet written."""
        with self._read() as session:
            return sum(row.outstanding_bytes for row in _active(session, root))


def _active(session: Session, root: Path) -> list[ReservationRow]:
    """The promises below a root; what an ended request forgot to give back does not count."""
    rows = select(ReservationRow).join(RequestRow, RequestRow.id == ReservationRow.request_id)
    return list(session.scalars(rows.where(ReservationRow.root == str(root), RequestRow.state.in_(ACTIVE))))


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / _GIB:.1f} GiB"
