"""Followers: who asked for the same restore as somebody else, joined it, and is told of it, too."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from alma_restore.catalogue.engine import Store, utc_now
from alma_restore.catalogue.records import RequestRecord, record
from alma_restore.catalogue.requests import locked, note_in
from alma_restore.catalogue.schema import FollowerRow, RequestRow


class Followers(Store):
    """Who is told of a request besides its asker."""

    def join(self, request_id: str, name: str, email: str = "") -> RequestRecord:
        """Somebody joins a request that is stored already; who joined before, or made it, changes nothing.

        Returns:
            The request as it stands: when it has ended already, nobody else will tell them so.
        """
        with self._write() as session:
            row = locked(session, request_id)
            if not _is_known(session, row, name, email):
                session.add(FollowerRow(request_id=row.id, name=name, email=email, joined_at=utc_now()))
                note_in(session, row, f"{name or 'Somebody'} asked for the same, and joined this request.")
            return record(RequestRecord, row)

    def addresses(self, request_id: str) -> tuple[str, ...]:
        """Everybody who is told of a request, once each: its asker first, then those who joined."""
        joined = select(FollowerRow.email).where(FollowerRow.request_id == request_id).order_by(FollowerRow.joined_at)
        with self._read() as session:
            row = session.get(RequestRow, request_id)
            found = [row.email if row else "", *session.scalars(joined)]
        return tuple(dict.fromkeys(address for address in found if address))


def _is_known(session: Session, row: RequestRow, name: str, email: str) -> bool:
    if name == row.requested_by and email in ("", row.email):
        return True
    same = select(FollowerRow).where(
        FollowerRow.request_id == row.id, FollowerRow.name == name, FollowerRow.email == email
    )
    return session.scalar(same) is not None
