"""A MeasurementSet as plain arrays in one canonical order of rows, so that two of them can be compared bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from casatools import table

COLUMNS = (
    "CORRECTED_DATA",
    "FLAG",
    "WEIGHT",
    "DATA",
    "SIGMA",
    "UVW",
    "TIME",
    "ANTENNA1",
    "ANTENNA2",
    "DATA_DESC_ID",
    "FLAG_ROW",
    "SCAN_NUMBER",
    "FIELD_ID",
    "STATE_ID",
)
_ORDERED_BY = ("TIME", "DATA_DESC_ID", "ANTENNA1", "ANTENNA2")


def columns(vis: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Read a MeasurementSet column by column, rows ordered by time, window and baseline.

    Every row must have the same number of channels. A column that is not there is left out.

    Raises:
        RuntimeError: CASA cannot open it.
    """
    ms = table()
    ms.open(str(vis))
    try:
        order = np.lexsort([ms.getcol(name) for name in reversed(_ORDERED_BY)])
        present = set(ms.colnames())
        for name in COLUMNS:
            if name in present:
                yield name, _as_stored(ms.getcol(name))[..., order]
    finally:
        ms.close()


def _as_stored(values: np.ndarray) -> np.ndarray:
    """Visibilities in single precision, as a MeasurementSet stores them: CASA hands out doubles."""
    return values.astype(np.complex64) if np.iscomplexobj(values) else values


def save(vis: Path, snapshot: Path) -> None:
    """Write every column to an .npz file; not compressed, for noise does not compress."""
    snapshot.parent.mkdir(parents=True, exist_ok=True)
    np.savez(snapshot, **dict(columns(vis)))
