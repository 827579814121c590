"""Changes of state of all requests, one after another, for those who tell others about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from sqlalchemy import func, or_, select
from sqlalchemy.orm import aliased

from alma_restore.catalogue.engine import Store
from alma_restore.catalogue.records import RequestRecord, record
from alma_restore.catalogue.schema import RequestRow, TransitionRow
from alma_restore.catalogue.states import State


@dataclass(frozen=True, slots=True)
class Change:
    """A request went into another state or stage.

    Attributes:
        id: grows from change to change, in the order in which they were stored.
        request: as it stands now, which may be further on.
    """

    id: int
    at: datetime
    state: State
    stage: str
    note: str
    request: RequestRecord


class Changes(Store):
    """The changes in the catalogue; what is only noted in a request's history is none."""

    def changes(self, after: int, limit: int = 100) -> tuple[Change, ...]:
        """The changes that follow the one with this id, oldest first.

        Nothing can appear later in between: the ids are given in the order of the commits.
        """
        line, before, earlier = TransitionRow, aliased(TransitionRow), aliased(TransitionRow)
        id_before = select(func.max(earlier.id)).where(earlier.request_id == line.request_id, earlier.id < line.id)
        rows = (
            select(line, RequestRow)
            .join(RequestRow, RequestRow.id == line.request_id)
            .outerjoin(before, before.id == id_before.correlate(line).scalar_subquery())
            .where(line.id > after, or_(before.id.is_(None), before.state != line.state, before.stage != line.stage))
            .order_by(line.id)
            .limit(limit)
        )
        with self._read() as session:
            return tuple(
                Change(row.id, row.at, cast(State, row.state), row.stage, row.note, record(RequestRecord, request))
                for row, request in session.execute(rows).tuples()
            )

    def last_change(self) -> int:
        """Where somebody begins who wants to hear only of what comes now."""
        with self._read() as session:
            return session.scalar(select(func.max(TransitionRow.id))) or 0
