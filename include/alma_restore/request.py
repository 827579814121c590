"""The request: what somebody wants restored, in one typed object, JSON in and out."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from alma_restore.errors import Refused
from alma_restore.split import SplitOptions
from alma_restore.uid import Uid

Origin = Literal["detection", "backfill", "hand", "page", "command", "event"]

UNASKED: frozenset[Origin] = frozenset({"detection", "backfill"})
"""Doors behind which no person stands."""

_NOT_IN_A_RUN_ID = re.compile(r"[^A-Za-z0-9_.~:+-]|\.(?=\.)")
"""Airflow takes no two dots in a row either."""

_BEFORE_THE_QUEUE = timedelta(days=365)
"""Longer than anything is queued."""

_EMAIL: TypeAdapter[str] = TypeAdapter(EmailStr)

REQUEST_FIELDS_HELP = "mous_uid or eb_uid, casa_version, email, destination, split, tar"

_NOT_OPTIONS = {"mous_uid", "eb_uid", "email", "correlation_id", "requested_by", "origin"}


def run_id_of(correlation_id: str) -> str:
    """The Airflow run of a correlation id: one id is one run, whichever door it came through, however often."""
    legal = _NOT_IN_A_RUN_ID.sub("_", correlation_id)
    if legal != correlation_id:
        legal += "_" + hashlib.sha256(correlation_id.encode()).hexdigest()[:8]
    return f"restore__{legal}"


def due_since() -> str:
    """The moment since which the run of somebody's request is due, for Airflow's `run_after`.

    Airflow 3.3 starts the queued runs of a DAG in the order of this moment. What a backfill or a sweep has found can be
    queued for weeks; a person, or a program that asks for one, comes before it.
    """
    return (datetime.now(timezone.utc) - _BEFORE_THE_QUEUE).isoformat()


class BadRequest(Refused):
    """What was asked for cannot be read as a request.

    Args:
        fields: what is wrong with each field, by its name (`split.chanbin`); with none in particular: by "".
    """

    def __init__(self, sentence: str, fields: Mapping[str, str]) -> None:
        super().__init__(sentence, code="bad_request", remedy=f"A request takes: {REQUEST_FIELDS_HELP}.")
        self.fields = fields


class RestoreRequest(BaseModel):
    """One restore, as asked for.

    Attributes:
        mous_uid: the MOUS to restore; may be left out when `eb_uid` is given.
        eb_uid: one of its execution blocks; the MOUS is looked up.
        casa_version: `6.6.1-17` or the name of an installation; empty: the version policy decides.
        email: who is told how it ended; empty: nobody.
        destination: where the calibrated data go, a folder or a URL; empty: the default delivery root.
        split: what to split off and average; None: the whole MeasurementSets are wanted, nothing is split off.
        tar: deliver each MeasurementSet as one tar file instead of a folder.
        correlation_id: the asker's own key; two requests under one key are the same request.
        requested_by: who asked, as the door they came through knows them.
        origin: which door they came through.
        fingerprint: which delivery of the MOUS is meant, set by detection.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    mous_uid: Uid | None = None
    eb_uid: Uid | None = None
    casa_version: str = Field(default="", max_length=200)
    email: EmailStr | None = None
    destination: str = Field(default="", max_length=1000)
    delivery_format: Literal["CMS"] = "CMS"
    split: SplitOptions | None = None
    tar: bool = False
    correlation_id: str = Field(default_factory=lambda: str(uuid.uuid4()), min_length=1, max_length=200)
    requested_by: str = Field(default="", max_length=200)
    origin: Origin = "hand"
    fingerprint: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")

    @field_validator("mous_uid", "eb_uid", "email", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("split", mode="before")
    @classmethod
    def _nothing_is_no_split(cls, value: object) -> object:
        """A form left empty asks for no split."""
        if value in ({}, ""):
            return None
        if value is not None and not isinstance(value, (Mapping, SplitOptions)):
            raise ValueError('give an object, such as {"intent": "TARGET", "chanbin": 2}')
        return value

    @field_validator("casa_version", "destination", "requested_by", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("casa_version", "destination", "requested_by")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("holds control characters")
        return value

    @model_validator(mode="after")
    def _names_a_mous(self) -> RestoreRequest:
        if self.mous_uid is None and self.eb_uid is None:
            raise ValueError("Neither mous_uid nor eb_uid is given; one of them is needed.")
        return self

    @property
    def run_id(self) -> str:
        """The Airflow run that carries this request out."""
        return run_id_of(self.correlation_id)

    @property
    def options(self) -> dict[str, Any]:
        """What makes the result another one: everything but who asked, through which door, and who is told.

        Two requests for one MOUS with the same options ask for the same thing.
        """
        return self.model_dump(mode="json", exclude=_NOT_OPTIONS)

    def as_conf(self) -> dict[str, Any]:
        """The request as the conf of a `restore_mous` run: what was not asked for is left out."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value not in ("", None, False)}

    @classmethod
    def parse(cls, fields: Mapping[str, Any]) -> RestoreRequest:
        """Read a request from a form, an Airflow conf or an event.

        Raises:
            BadRequest: a field is unknown, missing or malformed; all of them are named.
        """
        try:
            return cls.model_validate(dict(fields))
        except ValidationError as error:
            wrong = error.errors()
            fields = {_field(detail): f"{_message(detail)[:1].upper()}{_message(detail)[1:]}." for detail in wrong}
            raise BadRequest(" ".join(_sentence(detail) for detail in wrong), fields) from error


def readable_email(text: object) -> str:
    """The address, where it is one: even who sent a request that cannot be read is told so."""
    try:
        return str(_EMAIL.validate_python(text))
    except ValidationError:
        return ""


def _field(detail: Any) -> str:
    return ".".join(str(part) for part in detail["loc"])


def _message(detail: Any) -> str:
    return str(detail["msg"]).removeprefix("Value error, ").rstrip(".")


def _sentence(detail: Any) -> str:
    field, message = _field(detail), _message(detail)
    if detail["type"] == "extra_forbidden":
        return f"Unknown field {field!r}."
    return f"{field} {str(detail['input'])[:80]!r}: {message}." if field else f"{message}."
