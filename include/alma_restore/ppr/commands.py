"""What the pipeline is asked to do: the commands of a PPR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alma_restore.split import SplitOptions

EXPORT_FOLDER = "../exported"
"""Where a run with a split exports to, seen from working/. Its default, products/, holds the delivered originals."""


@dataclass(frozen=True, slots=True)
class ProcessingCommand:
    """One pipeline task and its parameters; what is left out is the pipeline's to decide.

    The pipeline turns a value that reads as a number, a truth value or a list into one.
    """

    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)


BASIC_RESTORE = (ProcessingCommand("hifa_restoredata"),)
"""The pipeline itself adds `vis` and `session` to it."""


def restore_and_split(split: SplitOptions | None) -> tuple[ProcessingCommand, ...]:
    """The commands of a restore; with a split, as the pipeline's recipe `hifa_deliver_ms` does it.

    Source: DOMAIN section 11.
    """
    if split is None:
        return BASIC_RESTORE
    return (
        *BASIC_RESTORE,
        ProcessingCommand("hif_mstransform", split_parameters(split)),
        ProcessingCommand("hifa_exportdata", {"products_dir": EXPORT_FOLDER}),
    )


def split_parameters(split: SplitOptions) -> dict[str, str]:
    """The parameters of `hif_mstransform`, as a PPR spells them; what is empty is left to the pipeline."""
    return {name: str(value) for name, value in split.model_dump(exclude={"keep_full"}).items() if value != ""}
