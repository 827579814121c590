"""What the archive tells about one MOUS, as typed rows. Blanks are stripped, uids parsed, times are UTC."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from alma_restore.uid import Uid

Qa0 = Literal["Pass", "SemiPass", "Fail", "Unset", "Pending"]


def qa0_verdict(text: str | None) -> Qa0:
    """The QA0 verdict of a column value; what is NULL or unheard of counts as `Unset`."""
    verdict = (text or "").strip()
    return cast(Qa0, verdict) if verdict in get_args(Qa0) else "Unset"


@dataclass(frozen=True, slots=True)
class ExecutionBlock:
    """One execution block of an MOUS, at any QA0 verdict.

    Attributes:
        session_id: what AQUA_EXECBLOCK.SESSIONID says; None where it is NULL.
        started: start of the observation (UTC); None where it is NULL.
    """

    uid: Uid
    qa0: Qa0
    session_id: str | None
    started: datetime | None


@dataclass(frozen=True, slots=True)
class ProductFile:
    """One row of ASA_PRODUCT_FILES; `file_id` is the name in NGAS, without padding."""

    file_id: str
    file_class: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class SchedBlock:
    """A SchedBlock linked to an MOUS, with its status entity and life-cycle state."""

    uid: Uid
    status_uid: Uid | None
    state: str
    name: str
    requested_array: str


@dataclass(frozen=True, slots=True)
class ProjectStructure:
    """What the PPR's ProjectSummary and ProjectStructure need of the project."""

    project_code: str
    obs_unit_set_uid: Uid
    obs_unit_set_part_id: str
    project_status_uid: Uid


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibrated MOUS as delivered: its product files and its execution blocks.

    Attributes:
        calibrated_at: when the calibration was delivered to the archive (UTC); None where the archive does not say.
        requested_arrays: REQUESTEDARRAY of its SchedBlocks, such as `TWELVE-M`, `SEVEN-M`, `TP-Array`.
    """

    mous_uid: Uid
    calibrated_at: datetime | None
    files: tuple[ProductFile, ...]
    execution_blocks: tuple[ExecutionBlock, ...]
    requested_arrays: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Tells one delivery of this MOUS from a re-delivery with other products (DOMAIN section 2).

        Which execution blocks passed QA0 counts too: those are restored. What became of the others changes nothing.
        """
        lines = sorted(f"{f.file_class}\t{f.file_id}\t{f.size_bytes}" for f in self.files)
        lines += sorted(f"{eb.uid}\t{eb.qa0}" for eb in self.passed)
        return hashlib.sha256("\n".join([self.mous_uid, *lines]).encode()).hexdigest()

    @property
    def passed(self) -> tuple[ExecutionBlock, ...]:
        """The execution blocks that a restore uses: QA0 Pass, in order of observation."""
        return tuple(
            sorted((eb for eb in self.execution_blocks if eb.qa0 == "Pass"), key=lambda eb: (str(eb.started), eb.uid))
        )
