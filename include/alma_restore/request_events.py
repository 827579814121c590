"""The StartWorkflow event, by which NRAO's tools ask for a restore: read as a request.

Source: seed 1, "How is an ALMA restore requested?"; DOMAIN section 13.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest
from alma_restore.split import SplitOptions
from alma_restore.uid import Uid

_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-.]\d+)?", re.ASCII)


class _Metadata(BaseModel):
    """What is to be restored; the larger event of a search page has more fields, which concern other workflows."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    workflow_name: Literal["AlmaOusRestoreWorkflow"] = Field(validation_alias="workflowName")
    telescope: Literal["ALMA"]
    delivery_format: Literal["CMS"] = Field(default="CMS", validation_alias="deliveryFormat")
    mous_uid: Uid | None = Field(default=None, validation_alias="ousStatusId")
    eb_uids: tuple[Uid, ...] = Field(default=(), validation_alias="fileSetIds", max_length=1000)
    casa_home: str = Field(default="", validation_alias="casaHome", max_length=1000)
    # How the larger event names these is not public: a guess, with what its neighbours use.
    correlation_id: str = Field(
        validation_alias=AliasChoices("cliCorrId", "correlationId", "requestId"), min_length=1, max_length=200
    )
    destination: str = Field(
        default="", validation_alias=AliasChoices("destinationDirectory", "deliveryLocation", "destination")
    )
    email: str = Field(default="", validation_alias=AliasChoices("userEmail", "email"))
    split: SplitOptions | None = Field(default=None, validation_alias="splitOptions")
    tar: bool = Field(default=False, validation_alias="createTar")

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_said(cls, said: object) -> object:
        return {name: value for name, value in said.items() if value is not None} if isinstance(said, dict) else said


class _StartWorkflow(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["edu.nrao.archive.workflow.messaging.commands.StartWorkflow"]
    metadata: _Metadata


def parse_start_workflow(event: Mapping[str, Any] | str | bytes, requested_by: str = "") -> RestoreRequest:
    """Read a StartWorkflow event as a request; the same event is the same request, however often it comes.

    The MOUS is `ousStatusId`; an execution block of `fileSetIds` counts only where that is missing.

    Args:
        event: JSON text, or what was read from it.
        requested_by: who sent it.

    Raises:
        Refused: (code `bad_event`) it is no JSON, no StartWorkflow, another workflow's or telescope's, or a field is
            missing or malformed; all of them are named.
    """
    if isinstance(event, bytes):
        event = event.removeprefix(codecs.BOM_UTF8)
    try:
        if isinstance(event, (str, bytes)):
            started = _StartWorkflow.model_validate_json(event)
        else:
            started = _StartWorkflow.model_validate(dict(event))
    except ValidationError as error:
        raise _refusal(" ".join(map(_sentence, error.errors()))) from error
    metadata = started.metadata
    try:
        return RestoreRequest.parse(
            {
                "mous_uid": metadata.mous_uid,
                "eb_uid": metadata.eb_uids[0] if metadata.eb_uids and metadata.mous_uid is None else None,
                "casa_version": _casa_version(metadata.casa_home),
                "email": metadata.email,
                "destination": metadata.destination,
                "delivery_format": metadata.delivery_format,
                "split": metadata.split,
                "tar": metadata.tar,
                "correlation_id": metadata.correlation_id,
                "requested_by": requested_by,
                "origin": "event",
            }
        )
    except Refused as refusal:
        raise _refusal(refusal.sentence) from refusal


def _casa_version(casa_home: str) -> str:
    """The version that a CASA home is named for, such as 5.4.0-68 of `…/casa-release-5.4.0-68`; else its whole name."""
    name = PurePosixPath(casa_home).name
    version = _VERSION.search(name)
    return version.group() if version else name


def _sentence(detail: Any) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or "The event"
    message = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    given = f" {detail['input']!r:.80}" if detail["type"] != "missing" and not isinstance(detail["input"], dict) else ""
    return f"{field}{given}: {message}."


def _refusal(sentence: str) -> Refused:
    return Refused(
        sentence, code="bad_event", remedy="docs/events.md shows the StartWorkflow event that is understood."
    )
