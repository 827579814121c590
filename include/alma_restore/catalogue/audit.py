"""Does the catalogue contradict itself? Every request's history is read again and held against the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import cast

from sqlalchemy import select

from alma_restore.catalogue.engine import Store, utc_now
from alma_restore.catalogue.schema import DeliveryRow, RequestRow, ReservationRow, TransitionRow
from alma_restore.catalogue.states import DELIVERED, ENDS, FOLLOWERS, State


@dataclass(slots=True)
class Replay:
    """The states of all requests, gone through once more in the order in which they were stored.

    Attributes:
        counts: how many requests are in each state, after the latest line.
        states: the state of each request.
        contradictions: what cannot be, in sentences.
    """

    counts: Counter[State] = field(default_factory=Counter)
    states: dict[str, State] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def line(self, number: int, request_id: str, state: State) -> None:
        """Go one line on: one request more, or one from a state to the next."""
        before = self.states.get(request_id)
        if before is None and state != "accepted":
            self._wrong(f"Request {request_id} begins as {state} in line {number}.")
        elif before is not None and not _may_follow(before, state):
            self._wrong(f"Request {request_id} goes from {before} to {state} in line {number}.")
        if before is not None:
            self.counts[before] -= 1
        self.counts[state] += 1
        self.states[request_id] = state
        if self.counts.total() != len(self.states) or min(self.counts.values()) < 0:
            self._wrong(f"After line {number} the states add up to {self.counts.total()}, of {len(self.states)}.")

    def _wrong(self, sentence: str) -> None:
        self.contradictions.append(sentence)


class Audit(Store):
    """The catalogue's own consistency."""

    def contradictions(self, closing: timedelta = timedelta(hours=1)) -> tuple[str, ...]:
        """What cannot be, in sentences; none if all is well.

        Every request begins as accepted and goes from state to state as it may; at every moment the states add up to
        the number of requests; a request stands where its history ends, has a moment of its end exactly if it has
        ended, and a delivery if it was delivered; none that has ended holds disk.

        Args:
            closing: how long an ended request may hold its disk.
        """
        before = utc_now() - closing
        with self._read_one_moment() as session:
            replay = Replay()
            lines = select(TransitionRow.id, TransitionRow.request_id, TransitionRow.state).order_by(TransitionRow.id)
            for number, request_id, state in session.execute(lines.execution_options(yield_per=1000)).tuples():
                replay.line(number, request_id, cast(State, state))
            delivered = frozenset(session.scalars(select(DeliveryRow.request_id)))
            rows = session.scalars(select(RequestRow).execution_options(yield_per=1000))
            found = (_of_request(row, replay.states.get(row.id), delivered) for row in rows)
            holders = select(RequestRow).join(ReservationRow, ReservationRow.request_id == RequestRow.id)
            forgotten = session.scalars(holders.where(RequestRow.ended_at < before))
            return (
                *replay.contradictions,
                *chain.from_iterable(found),
                *(f"Request {row.id} is {row.state} and still holds disk." for row in forgotten),
            )


def _of_request(row: RequestRow, told: State | None, delivered: frozenset[str]) -> Iterator[str]:
    if told != row.state:
        yield f"Request {row.id} is {row.state}; its history ends with {told or 'nothing'}."
    if (row.ended_at is not None) != (row.state in ENDS):
        yield f"Request {row.id} is {row.state} and ended at {row.ended_at}."
    if row.state in DELIVERED and row.id not in delivered:
        yield f"Request {row.id} is {row.state}; no delivery is recorded."


def _may_follow(before: State, after: State) -> bool:
    """A note repeats the state; an ended request can be reopened."""
    return after == before or after in FOLLOWERS[before] or (after == "accepted" and before in ENDS)
