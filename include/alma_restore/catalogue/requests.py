"""Requests: opened once, moved through their states, looked up."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.orm import Session

from alma_restore.catalogue.engine import Store, take_lock, utc_now
from alma_restore.catalogue.records import (
    Page,
    RequestRecord,
    StageTiming,
    Transition,
    id_prefix,
    record,
    stage_timings,
)
from alma_restore.catalogue.schema import RequestRow, ReservationRow, TransitionRow
from alma_restore.catalogue.states import ENDS, State, check_reopening, check_transition
from alma_restore.errors import Refused, RestoreError
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid

_UIDS_A_QUERY = 500
"""Values in one IN list; SQLite and PostgreSQL both take more."""

_NEWEST_FIRST = (RequestRow.created_at.desc(), RequestRow.id)


class Requests(Store):
    """The requests in the catalogue. Each change of state is one transaction that also writes the history."""

    def open_request(self, request: RestoreRequest, run_id: str | None = None) -> RequestRecord:
        """Store a request, or find the one that is already stored.

        The same `run_id` or the same correlation id is the same request, whoever asks at the same moment. A request
        stored before its run existed is given the run; when it has another run, the caller joins a restore that is
        somebody else's to carry out: `record.run_id` tells.
        """
        return self._open(
            RequestRow(
                run_id=run_id,
                correlation_id=request.correlation_id,
                mous_uid=request.mous_uid,
                eb_uid=request.eb_uid,
                fingerprint=request.fingerprint,
                request=request.model_dump(mode="json"),
                origin=request.origin,
                requested_by=request.requested_by,
                email=request.email or "",
                destination=request.destination,
            )
        )

    def open_unreadable(
        self, fields: Mapping[str, Any], error: Refused, *, run_id: str | None = None, origin: str = "", email: str = ""
    ) -> RequestRecord:
        """Store as refused what could not even be read as a request, so that the asker's answer is on record."""
        row = RequestRow(
            run_id=run_id,
            correlation_id=str(uuid.uuid4()),
            request={str(key)[:200]: str(value)[:1000] for key, value in fields.items()},
            origin=origin,
            requested_by=str(fields.get("requested_by", ""))[:200],
            email=email,
        )
        opened = self._open(row)
        return opened if opened.ended else self.fail(opened.id, error, "open_request")

    def identify(self, request_id: str, mous_uid: Uid, fingerprint: str) -> RequestRecord:
        """Store which delivery of which MOUS a request turned out to mean."""
        return self._set(request_id, mous_uid=mous_uid, fingerprint=fingerprint)

    def set_workspace(self, request_id: str, workspace: str) -> RequestRecord:
        return self._set(request_id, workspace=workspace)

    def set_casa(self, request_id: str, installation: str, version: str, policy: str) -> RequestRecord:
        """Store which CASA restores, and the sentence that says why."""
        return self._set(request_id, casa_installation=installation, casa_version=version, casa_policy=policy)

    def set_casa_peak(self, request_id: str, size_bytes: int) -> RequestRecord:
        """Store how much memory CASA took at its most; of several runs of one request the largest counts."""
        with self._write() as session:
            row = locked(session, request_id)
            row.casa_peak_bytes = max(size_bytes, row.casa_peak_bytes or 0)
            return _record(row)

    def start_stage(self, request_id: str, stage: str, note: str = "") -> RequestRecord:
        """A stage begins; begun again (a retry, a second execution block) it leaves no second line without a note."""
        with self._write() as session:
            row = locked(session, request_id)
            if (row.state, row.stage, note) != ("running", stage, ""):
                move(session, row, "running", stage, note)
            return _record(row)

    def finish(self, request_id: str, warnings: Iterable[str] = ()) -> RequestRecord:
        """The calibrated data are delivered; with `warnings` the state says so."""
        with self._write() as session:
            row = locked(session, request_id)
            row.warnings = list(warnings)
            end: State = "delivered_with_warnings" if row.warnings else "delivered"
            if row.state != end:
                move(session, row, end, row.stage, " ".join(row.warnings))
            return _record(row)

    def fail(self, request_id: str, error: RestoreError, stage: str) -> RequestRecord:
        """An error ends the request: as refused when it is a `Refused`, as failed otherwise.

        The first reason stands: what fails after the end (a second execution block) is noted in the history.
        """
        end: State = "refused" if isinstance(error, Refused) else "failed"
        with self._write() as session:
            row = locked(session, request_id)
            if row.state in ("refused", "failed", "cancelled"):
                note_in(session, row, f"{stage}: {error.sentence}")
                return _record(row)
            move(session, row, end, stage, error.sentence)
            row.error_kind = error.kind
            row.error_code = error.code if isinstance(error, Refused) else error.kind
            row.reason, row.remedy, row.log_tail = error.sentence, error.remedy, error.log_tail
            return _record(row)

    def cancel(self, request_id: str, note: str = "") -> RequestRecord:
        """The asker or an operator ends the request; cancelled already, nothing happens."""
        with self._write() as session:
            row = locked(session, request_id)
            if row.state != "cancelled":
                move(session, row, "cancelled", row.stage, note)
            return _record(row)

    def reopen(
        self, request_id: str, note: str = "", run_id: str | None = None, attempt: int | None = None
    ) -> RequestRecord:
        """An ended request starts over as its next attempt (or the one named), under another Airflow run if given."""
        with self._write() as session:
            row = locked(session, request_id)
            check_reopening(row.id, _state(row))
            row.attempt = attempt or row.attempt + 1
            row.run_id = run_id or row.run_id
            row.error_kind = row.error_code = row.reason = row.remedy = row.log_tail = ""
            row.warnings, row.ended_at = [], None
            _write_line(session, row, "accepted", "", note)
            return _record(row)

    def begin_attempt(self, request_id: str, attempt: int) -> RequestRecord:
        """A request that has not ended goes on as this attempt: tasks of it were cleared meanwhile."""
        return self._set(request_id, attempt=attempt)

    def note(self, request_id: str, note: str) -> None:
        """Add a line to the history that changes nothing, at any time: a mail sent, a job submitted."""
        with self._write() as session:
            note_in(session, locked(session, request_id), note)

    def get(self, request_id: str) -> RequestRecord:
        """One request.

        Raises:
            Refused: (code `unknown_request`) there is none.
        """
        with self._read() as session:
            row = session.get(RequestRow, request_id)
            if row is None:
                raise _unknown(request_id)
            return _record(row)

    def by_run_id(self, run_id: str) -> RequestRecord | None:
        return self._one(RequestRow.run_id == run_id)

    def by_correlation_id(self, correlation_id: str) -> RequestRecord | None:
        return self._one(RequestRow.correlation_id == correlation_id)

    def numbered(self, number: int) -> tuple[RequestRecord, ...]:
        """The requests that people quote by this number, newest first: one as a rule."""
        wanted = RequestRow.id.startswith(id_prefix(number))
        with self._read() as session:
            return tuple(map(_record, session.scalars(select(RequestRow).where(wanted).order_by(*_NEWEST_FIRST))))

    def waiting_for_a_run(self) -> tuple[RequestRecord, ...]:
        """Requests that were stored and have no Airflow run yet, oldest first."""
        wanted = (RequestRow.state == "accepted", RequestRow.run_id.is_(None))
        with self._read() as session:
            return tuple(
                map(_record, session.scalars(select(RequestRow).where(*wanted).order_by(RequestRow.created_at)))
            )

    def with_workspace(self) -> tuple[str, ...]:
        """The ids of the ended requests that have a workspace, newest first."""
        wanted = (RequestRow.workspace != "", RequestRow.state.in_(ENDS))
        with self._read() as session:
            return tuple(session.scalars(select(RequestRow.id).where(*wanted).order_by(*_NEWEST_FIRST)))

    def find(
        self,
        *,
        states: Collection[State] = (),
        uid: Uid | None = None,
        email: str = "",
        requested_by: str = "",
        origin: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page:
        """The requests that fit all of what is given, newest first; `uid` is an MOUS or an execution block."""
        wanted: list[ColumnElement[bool]] = []
        if states:
            wanted.append(RequestRow.state.in_(states))
        if uid:
            wanted.append(or_(RequestRow.mous_uid == uid, RequestRow.eb_uid == uid))
        for column, value in (
            (RequestRow.email, email),
            (RequestRow.requested_by, requested_by),
            (RequestRow.origin, origin),
        ):
            if value:
                wanted.append(column == value)
        if since:
            wanted.append(RequestRow.created_at >= since)
        if until:
            wanted.append(RequestRow.created_at < until)
        with self._read() as session:
            total = session.scalar(select(func.count()).select_from(RequestRow).where(*wanted)) or 0
            rows = session.scalars(
                select(RequestRow).where(*wanted).order_by(*_NEWEST_FIRST).limit(limit).offset(offset)
            )
            return Page(tuple(map(_record, rows)), total)

    def latest_of(self, mous_uids: Collection[Uid]) -> dict[Uid, RequestRecord]:
        """The newest request of each of these MOUSs that has any."""
        latest: dict[Uid, RequestRecord] = {}
        uids = list(mous_uids)
        with self._read() as session:
            for start in range(0, len(uids), _UIDS_A_QUERY):
                some = uids[start : start + _UIDS_A_QUERY]
                rows = session.scalars(
                    select(RequestRow).where(RequestRow.mous_uid.in_(some)).order_by(RequestRow.created_at)
                )
                latest.update((row.mous_uid, _record(row)) for row in rows if row.mous_uid)
        return latest

    def history(self, request_id: str) -> tuple[Transition, ...]:
        """Everything that happened to a request, oldest first."""
        lines = select(TransitionRow).where(TransitionRow.request_id == request_id).order_by(TransitionRow.id)
        with self._read() as session:
            return tuple(record(Transition, row) for row in session.scalars(lines))

    def stage_timings(self, request_id: str) -> tuple[StageTiming, ...]:
        return stage_timings(self.history(request_id))

    def _open(self, row: RequestRow) -> RequestRecord:
        with self._write("open_request") as session:
            known = None
            if row.run_id:
                known = session.scalar(select(RequestRow).where(RequestRow.run_id == row.run_id))
            known = known or session.scalar(
                select(RequestRow).where(RequestRow.correlation_id == row.correlation_id).with_for_update()
            )
            if known is None:
                row.id, row.created_at = str(uuid.uuid4()), utc_now()
                session.add(row)
                _write_line(session, row, "accepted", "", "")
                known = row
            known.run_id = known.run_id or row.run_id
            return _record(known)

    def _set(self, request_id: str, **facts: object) -> RequestRecord:
        with self._write() as session:
            row = locked(session, request_id)
            for name, value in facts.items():
                setattr(row, name, value)
            row.updated_at = utc_now()
            return _record(row)

    def _one(self, wanted: ColumnElement[bool]) -> RequestRecord | None:
        with self._read() as session:
            row = session.scalar(select(RequestRow).where(wanted))
            return None if row is None else _record(row)


def _state(row: RequestRow) -> State:
    return cast(State, row.state)


def _unknown(request_id: str) -> Refused:
    return Refused(
        f"There is no request {request_id[:80]!r}.", code="unknown_request", remedy="`alma-restore list` shows them."
    )


def locked(session: Session, request_id: str) -> RequestRow:
    """A request's row, which nobody else changes until the transaction ends."""
    row = session.get(RequestRow, request_id, with_for_update=True)
    if row is None:
        raise _unknown(request_id)
    return row


def move(session: Session, row: RequestRow, state: State, stage: str, note: str) -> None:
    """Change a request's state if that is legal."""
    check_transition(row.id, _state(row), state)
    _write_line(session, row, state, stage, note)


def note_in(session: Session, row: RequestRow, note: str) -> None:
    """Add a line to a request's history that changes nothing."""
    _write_line(session, row, _state(row), row.stage, note)


def _write_line(session: Session, row: RequestRow, state: State, stage: str, note: str) -> None:
    """The one place where a state changes: a request's state is always that of its last line of history."""
    now = utc_now()
    if state in ENDS and row.state != state:
        row.ended_at = now
        session.execute(delete(ReservationRow).where(ReservationRow.request_id == row.id))  # its disk is given back
    row.state, row.stage, row.updated_at = state, stage, now
    session.flush()
    take_lock(session, "history")  # the lines' ids grow in the order of their commits: who reads on misses none
    session.add(TransitionRow(request_id=row.id, at=now, state=state, stage=stage, note=note))


def _record(row: RequestRow) -> RequestRecord:
    return record(RequestRecord, row)
