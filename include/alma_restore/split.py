"""Splitting: which of the calibrated data somebody wants by themselves, averaged or not."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alma_restore.uid import Uid

INTENTS = ("AMPLITUDE", "BANDPASS", "CHECK", "PHASE", "POLANGLE", "POLARIZATION", "POLLEAKAGE", "TARGET")
"""The pipeline's words for what calibration is applied to, and what can be split off therefore."""

_SPW = re.compile(r"\d{1,4}(~\d{1,4})?(,\d{1,4}(~\d{1,4})?)*", re.ASCII)
_SECONDS = re.compile(r"(0|[1-9]\d{0,5}(\.\d{1,6})?)s", re.ASCII)


class SplitOptions(BaseModel):
    """Which of the calibrated data are split off into MeasurementSets of their own, `<eb>_targets.ms`.

    Attributes:
        intent: the pipeline's words, separated by commas: `TARGET`, `PHASE,BANDPASS`.
        field: names of fields; empty: every field with that intent.
        spw: numbers of spectral windows such as `17,19` or `17~23`; empty: every science window with that intent.
        chanbin: channels averaged into one.
        timebin: seconds averaged into one integration, such as `30s`; `0s`: none.
        keep_full: deliver the whole MeasurementSets too, `<eb>.ms`.

    Source: `hif_mstransform` of the pipeline; it takes the CORRECTED column, always.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    intent: str = "TARGET"
    field: str = Field(default="", max_length=500)
    spw: str = Field(default="", max_length=500)
    chanbin: int = Field(default=1, ge=1, le=10_000)
    timebin: str = "0s"
    keep_full: bool = False

    @property
    def intents(self) -> frozenset[str]:
        return frozenset(self.intent.split(","))

    @property
    def in_words(self) -> str:
        """What is split off, for people: `TARGET data of spectral windows 17,19, 2 channels averaged into one`."""
        parts = [f"{self.intent} data"]
        parts += [f"of {self.field}"] if self.field else []
        parts += [f"of spectral windows {self.spw}"] if self.spw else []
        averaged = [f"{self.chanbin} channels averaged into one"] if self.chanbin > 1 else []
        averaged += [f"averaged over {self.timebin}"] if self.timebin != "0s" else []
        return ", ".join([" ".join(parts), *averaged])

    @field_validator("intent", "spw", mode="before")
    @classmethod
    def _without_spaces(cls, value: Any) -> Any:
        return value.replace(" ", "") if isinstance(value, str) else value

    @field_validator("intent")
    @classmethod
    def _known_intent(cls, value: str) -> str:
        if not set(value.split(",")) <= set(INTENTS):
            raise ValueError(f"name one or more of {', '.join(INTENTS)}, with commas between")
        return value

    @field_validator("field")
    @classmethod
    def _stays_text(cls, value: str) -> str:
        """Refuse a field name that the pipeline would take for something else than a name."""
        if not re.fullmatch("[ -~]*", value):
            raise ValueError("holds other characters than those of plain ASCII text")
        try:
            float(value)
        except ValueError:
            if value[:1] not in ("[", "(", "{") and value.lower() not in ("true", "false"):
                return value
        raise ValueError("the pipeline reads this as a value, not as a field's name; name the field")

    @field_validator("spw")
    @classmethod
    def _window_numbers(cls, value: str) -> str:
        if value and not _SPW.fullmatch(value):
            raise ValueError("give numbers of spectral windows, such as 17,19 or 17~23")
        return value

    @field_validator("timebin")
    @classmethod
    def _seconds(cls, value: str) -> str:
        """The pipeline compares it as text, so that less than a second would silently not be averaged."""
        if not _SECONDS.fullmatch(value):
            raise ValueError("give seconds, 0s for none or at least one, such as 30s")
        return value


def window_numbers(spw: str) -> frozenset[int]:
    """The numbers in a selection of spectral windows such as `17,19~23`; what selects by name has none."""
    numbers: set[int] = set()
    for part in spw.split(",") if _SPW.fullmatch(spw) else ():
        first, _, last = part.partition("~")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def full_name(eb_uid: Uid) -> str:
    """The MeasurementSet of all calibrated data of an execution block."""
    return f"{eb_uid.sanitised}.ms"


def split_name(eb_uid: Uid) -> str:
    """The one of what is split off, as pipelines since 2022.2 name it whatever its intent; `casa/outcome.py` renames
    those of earlier ones.
    """
    return f"{eb_uid.sanitised}_targets.ms"


def made(eb_uid: Uid, split: SplitOptions | None) -> tuple[str, ...]:
    """The MeasurementSets that a restore makes of an execution block."""
    return (full_name(eb_uid), split_name(eb_uid)) if split else (full_name(eb_uid),)


def delivered(eb_uid: Uid, split: SplitOptions | None) -> tuple[str, ...]:
    """Those that are handed over: who asks for a small part gets that, and the whole only if they say so."""
    return made(eb_uid, split) if split is None or split.keep_full else (split_name(eb_uid),)
