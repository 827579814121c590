"""What the catalogue tells, as frozen records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Protocol, TypeVar

from alma_restore.catalogue.states import ENDS, State
from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid

R = TypeVar("R")

TRIED_AGAIN = "It will be tried again."
"""How a note in the history ends that tells of a stage which failed and is repeated."""

_NUMBER_DIGITS = 7
"""Hexadecimal digits of a request's id that make its number."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as it stands.

    Attributes:
        id: the uuid that identifies the restore everywhere.
        run_id: the Airflow run that carries it out; None until there is one.
        mous_uid: None until an EB uid has been looked up, or when the asker gave none that can be read.
        request: what was asked, as JSON.
        stage: the stage it is in, or in which it ended.
        attempt: 1, and one more each time it was reopened.
        error_kind: class of the error that ended it (`refused`, `corrupt`, ...); error_code: the reason in a word.
        reason, remedy, log_tail: why it ended badly, what to do, and the end of the log that shows it.
        warnings: what the recipient of a delivery has to know.
        casa_policy: the sentence that says why this CASA was chosen.
    """

    id: str
    run_id: str | None
    correlation_id: str
    mous_uid: Uid | None
    eb_uid: Uid | None
    fingerprint: str
    request: dict[str, Any]
    origin: str
    requested_by: str
    email: str
    destination: str
    state: State
    stage: str
    attempt: int
    error_kind: str
    error_code: str
    reason: str
    remedy: str
    log_tail: str
    warnings: list[str]
    workspace: str
    casa_installation: str
    casa_version: str
    casa_policy: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def number(self) -> int:
        """A number that people can quote, up to nine digits: the first seven hexadecimal digits of the id."""
        return request_number(self.id)

    @property
    def asked(self) -> RestoreRequest:
        """The request as a typed object.

        Raises:
            Refused: it was refused because it cannot be read.
        """
        return RestoreRequest.parse(self.request)

    @property
    def options(self) -> dict[str, Any] | None:
        """What makes its result another one, with the delivery of the MOUS that it means; None: it cannot be read."""
        try:
            asked = self.asked
        except Refused:
            return None
        return asked.model_copy(update={"fingerprint": self.fingerprint or asked.fingerprint}).options


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the requests that were looked for, newest first, and how many there are in all."""

    requests: tuple[RequestRecord, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of a request's history."""

    at: datetime
    state: State
    stage: str
    note: str


@dataclass(frozen=True, slots=True)
class StageTiming:
    """When a stage of the latest attempt ran; `ended` is None while it runs."""

    stage: str
    started: datetime
    ended: datetime | None

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else (self.ended - self.started).total_seconds()


@dataclass(frozen=True, slots=True)
class CalibrationRecord:
    """One delivery of an MOUS to the archive and the decision on it (`restore` or `refused`, with code and reason)."""

    mous_uid: Uid
    fingerprint: str
    first_seen: datetime
    calibrated_at: datetime | None
    decision: str
    code: str
    reason: str
    seen_by: str


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """What a request delivered.

    Attributes:
        destination: as asked for; path: where it is now, a folder or a URL.
        sha256: of SHA256SUMS, which names every file.
        expires_at: None: it is not ours to remove.
        keep: somebody asked to keep it.
        warned_at: when the requester was told that it is about to expire.
    """

    request_id: str
    destination: str
    path: str
    size_bytes: int
    files: int
    sha256: str
    delivered_at: datetime
    expires_at: datetime | None
    keep: bool
    warned_at: datetime | None
    removed_at: datetime | None


class Verdict(Protocol):
    """A decision on one calibration, as `rules.eligibility` takes it."""

    @property
    def restorable(self) -> bool: ...
    @property
    def code(self) -> str: ...
    @property
    def sentence(self) -> str: ...


def request_number(request_id: str) -> int:
    """The number under which people quote a request; two requests can share one, though hardly ever do."""
    return int(request_id[:_NUMBER_DIGITS], 16)


def id_prefix(number: int) -> str:
    """What the ids of the requests with this number begin with."""
    return f"{number:0{_NUMBER_DIGITS}x}"


def record(kind: type[R], row: object) -> R:
    """The record of a row: the fields of the one are attributes of the other."""
    return kind(**{field.name: getattr(row, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def stage_timings(history: Iterable[Transition]) -> tuple[StageTiming, ...]:
    """How long each stage of the latest attempt took.

    A stage lasts until the next stage starts or the request ends; notes made after the end change nothing.
    """
    timings: list[StageTiming] = []
    running: Transition | None = None
    for line in history:
        if line.state == "accepted":
            timings, running = [], None
        elif running is not None and (line.state != "running" or line.stage != running.stage):
            timings.append(StageTiming(running.stage, running.at, line.at))
            running = None
        if line.state == "running" and running is None:
            running = line
    if running is not None:
        timings.append(StageTiming(running.stage, running.at, None))
    return tuple(timings)
