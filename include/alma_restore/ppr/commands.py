"""What the pipeline is asked to do: the commands of a PPR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

EXPORT_FOLDER = "../exported"
"""Where a run with a split exports to, seen from working/. Its default, products/, holds the delivered originals."""


@dataclass(frozen=True, slots=True)
class ProcessingCommand:
    """One pipeline task and its parameters; what is left out is the pipeline's to decide.

    The pipeline turns a value that reads as a number, a truth value or a list into one.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def _stays_text(value: str) -> str:
    """Refuse a field name that the pipeline would take for something else than a name."""
    try:
        float(value)
    except ValueError:
        if value[:1] not in ("[", "(", "{") and value.lower() not in ("true", "false"):
            return value
    raise ValueError("the pipeline reads this as a value, not as a field's name; name the field")


class SplitOptions(BaseModel):
    """Which of the calibrated data are split off into a MeasurementSet of their own (`<eb>_targets.ms`).

    Attributes:
        intent: the pipeline's words, separated by commas: `TARGET`, `PHASE,BANDPASS`.
        field: names of fields; empty: every field with that intent.
        spw: numbers of spectral windows such as `17,19` or `17~23`; empty: every science window with that intent.
        chanbin: channels averaged into one.
        timebin: seconds averaged into one integration, such as `30s`. The pipeline compares it as text, so that less
            than a second would silently not be averaged.

    Source: `hif_mstransform` of the pipeline; it takes the CORRECTED column, always.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    intent: str = Field(default="TARGET", pattern=r"^[A-Z]+(,[A-Z]+)*$")
    field: Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=500), AfterValidator(_stays_text)] = ""
    spw: str = Field(default="", pattern=r"^([0-9]+(~[0-9]+)?(,[0-9]+(~[0-9]+)?)*)?$")
    chanbin: int = Field(default=1, ge=1)
    timebin: str = Field(default="0s", pattern=r"^(0|[1-9][0-9]*(\.[0-9]+)?)s$")


BASIC_RESTORE = (ProcessingCommand("hifa_restoredata"),)
"""The pipeline itself adds `vis` and `session` to it."""


def restore_and_split(split: SplitOptions | None) -> tuple[ProcessingCommand, ...]:
    """The commands of a restore; with a split, as the pipeline's recipe `hifa_deliver_ms` does it.

    Source: DOMAIN section 11.
    """
    if split is None:
        return BASIC_RESTORE
    parameters = {name: str(value) for name, value in split.model_dump().items() if value != ""}
    return (
        *BASIC_RESTORE,
        ProcessingCommand("hif_mstransform", parameters),
        ProcessingCommand("hifa_exportdata", {"products_dir": EXPORT_FOLDER}),
    )
