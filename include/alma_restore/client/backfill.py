"""Backfills: what restoring the MOUSs of past days would take, and the order to do so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alma_restore.archive.metadata import Metadata
from alma_restore.archive.records import Calibration
from alma_restore.catalogue.states import DELIVERED
from alma_restore.catalogue.store import Catalogue
from alma_restore.client.rest import AirflowRest
from alma_restore.errors import Refused
from alma_restore.rules import eligibility

if TYPE_CHECKING:
    import pandas as pd

GB = 1e9
RESTORE = "restore"
ASKED_ALREADY = "asked for already"

MEASURED_ON = 20
"""The rate is measured on so many of the latest restores, at most."""

_A_BATCH = 200


@dataclass(frozen=True, slots=True)
class RawSizes:
    """How large raw data are: measured where the archive's folder of raw data is at hand, else planned for.

    Args:
        folder: of ready ASDMs (an embedded archive); None: there is none.
        unknown_eb_bytes: planned for an execution block whose size cannot be told.
    """

    folder: Path | None
    unknown_eb_bytes: int

    def of(self, calibration: Calibration) -> int:
        """Bytes of the execution blocks that a restore of this MOUS fetches."""
        return sum(self._block(block.uid.sanitised) for block in calibration.passed)

    def _block(self, name: str) -> int:
        if self.folder is None or not (self.folder / name).is_dir():
            return self.unknown_eb_bytes
        return sum(path.stat().st_size for path in (self.folder / name).rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What a backfill would do.

    Attributes:
        table: one row an outcome (`restore`, `asked for already`, `refused: <why>`), with the columns `mous`,
            `execution_blocks` and `raw_gb`; the restores come first, then the commonest outcome.
        seconds_per_gb: how long earlier restores took; None: there are none to measure.
        measured_on: how many restores that is the rate of.
        sizes_known: False where raw sizes are planned for, not measured.
    """

    start: datetime
    end: datetime
    table: pd.DataFrame
    seconds_per_gb: float | None
    measured_on: int
    sizes_known: bool

    @property
    def to_restore(self) -> int:
        return int(self.table["mous"].get(RESTORE, 0))

    @property
    def raw_gb(self) -> float:
        return float(self.table["raw_gb"].get(RESTORE, 0.0))

    @property
    def takes(self) -> timedelta | None:
        """How long the restores take one after another; None: nobody can tell yet."""
        return None if self.seconds_per_gb is None else timedelta(seconds=self.raw_gb * self.seconds_per_gb)

    def as_json(self) -> dict[str, Any]:
        return {
            "from": self.start.isoformat(),
            "to": self.end.isoformat(),
            "to_restore": self.to_restore,
            "raw_gb": self.raw_gb,
            "sizes_known": self.sizes_known,
            "seconds_per_gb": self.seconds_per_gb,
            "measured_on": self.measured_on,
            "seconds": self.takes and self.takes.total_seconds(),
            "outcomes": self.table.reset_index().to_dict(orient="records"),
        }


def plan(
    metadata: Metadata, catalogue: Catalogue | None, sizes: RawSizes, start: datetime, end: datetime
) -> BackfillPlan:
    """What a backfill over start <= delivered < end would do; nothing is changed."""
    import pandas as pd

    rows = [
        (outcome, len(calibration.passed), sizes.of(calibration) / GB)
        for outcome, calibration in _outcomes(catalogue, metadata.calibrated_between(start, end))
    ]
    each = pd.DataFrame(rows, columns=["outcome", "execution_blocks", "raw_gb"])
    table = each.groupby("outcome").agg(
        mous=("outcome", "size"), execution_blocks=("execution_blocks", "sum"), raw_gb=("raw_gb", "sum")
    )
    order = sorted(table.index, key=lambda outcome: (outcome != RESTORE, -table["mous"][outcome], outcome))
    rate, measured_on = measured_rate(catalogue, metadata, sizes) if catalogue else (None, 0)
    return BackfillPlan(start, end, table.loc[order], rate, measured_on, sizes.folder is not None)


def measured_rate(catalogue: Catalogue, metadata: Metadata, sizes: RawSizes) -> tuple[float | None, int]:
    """Seconds per GB of raw data of the latest restores that delivered, and how many those are.

    Sizes are told as for the plan, so that where they are only planned for, this is a rate by execution block.
    """
    seconds, raw_bytes, measured_on = 0.0, 0, 0
    for record in catalogue.find(states=DELIVERED, limit=MEASURED_ON).requests:
        timings = catalogue.stage_timings(record.id)
        if record.mous_uid is None or not timings or timings[-1].ended is None:
            continue
        try:
            size = sizes.of(metadata.calibration(record.mous_uid))
        except Refused:  # the archive no longer knows it
            continue
        seconds += (timings[-1].ended - timings[0].started).total_seconds()
        raw_bytes += size
        measured_on += 1
    return (seconds / (raw_bytes / GB), measured_on) if raw_bytes else (None, 0)


def start_backfill(
    airflow: AirflowRest, start: datetime, end: datetime, *, newest_first: bool = False, at_once: int = 1
) -> dict[str, Any]:
    """Have Airflow run `detect_calibrations` over the days of start <= day < end; the backfill as Airflow tells it.

    Args:
        at_once: how many days are looked at side by side; restores are paced by `restore_mous` itself.

    Raises:
        Refused: Airflow does not take it, as when another backfill is running.
    """
    return airflow.create_backfill(
        {
            "from_date": start.isoformat(),
            "to_date": (
                end - timedelta(seconds=1)
            ).isoformat(),  # Airflow counts an interval that begins on its last moment
            "run_backwards": newest_first,
            "max_active_runs": at_once,
            "reprocess_behavior": "none",
        }
    )


def _outcomes(catalogue: Catalogue | None, found: Iterable[Calibration]) -> Iterator[tuple[str, Calibration]]:
    """What detection would make of each calibration."""
    remaining = iter(found)
    while batch := list(islice(remaining, _A_BATCH)):
        asked = catalogue.latest_of([each.mous_uid for each in batch]) if catalogue else {}
        for each in batch:
            verdict = eligibility.judge(each)
            record = asked.get(each.mous_uid)
            if not verdict.restorable:
                yield f"refused: {verdict.code}", each
            elif record and record.fingerprint == each.fingerprint:
                yield ASKED_ALREADY, each
            else:
                yield RESTORE, each
