"""Read a MeasurementSet's visibilities in pieces that fit in memory, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

_PIECE_BYTES = 4 * 2**20
_PARALLEL_HANDS = (5, 8, 9, 12)  # RR, LL, XX, YY in casacore's Stokes enumeration


@contextmanager
def opened(path: Path | str) -> Iterator[Any]:
    """A casacore table, closed at the end. CASA is imported here: whoever uses it says first where it logs to."""
    from casatools import table

    one = table()
    one.open(str(path))
    try:
        yield one
    finally:
        one.close()


def column(path: Path | str, name: str) -> list[Any]:
    """A column of a small table, as Python values."""
    with opened(path) as one:
        return one.getcol(name).tolist() if one.nrows() else []


@dataclass(frozen=True)
class Piece:
    """Some rows of one spectral window, all of one shape.

    Attributes:
        spw: id of the spectral window.
        parallel_hands: which correlations are XX, YY, RR or LL.
        rows: their numbers in the MAIN table.
        columns: column name -> array, rows last.
    """

    spw: int
    parallel_hands: list[int]
    rows: numpy.ndarray
    columns: Mapping[str, numpy.ndarray]


def pieces(ms: Path, columns: tuple[str, ...]) -> Iterator[Piece]:
    """The cross-correlations of a MeasurementSet, spectral window after spectral window.

    Auto-correlations are left out: calibration is not applied to them.
    """
    spws = column(ms / "DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID")
    polarizations = column(ms / "DATA_DESCRIPTION", "POLARIZATION_ID")
    with opened(ms) as main:
        for description, (spw, polarization) in enumerate(zip(spws, polarizations, strict=True)):
            selected = main.query(f"DATA_DESC_ID=={description} && ANTENNA1!=ANTENNA2")
            try:
                hands = _parallel_hands(ms, polarization)
                yield from (Piece(spw, hands, *part) for part in _parts(selected, columns))
            finally:
                selected.close()


def _parts(selected: Any, columns: tuple[str, ...]) -> Iterator[tuple[numpy.ndarray, dict[str, numpy.ndarray]]]:
    total = selected.nrows()
    if not total:
        return
    numbers = numpy.asarray(selected.rownumbers())
    step = max(1, _PIECE_BYTES // (selected.getcell("FLAG", 0).size * 8))
    for start in range(0, total, step):
        count = min(step, total - start)
        yield numbers[start : start + count], {name: selected.getcol(name, start, count) for name in columns}


def _parallel_hands(ms: Path, polarization: int) -> list[int]:
    with opened(ms / "POLARIZATION") as one:
        types = one.getcell("CORR_TYPE", polarization).tolist()
    return [index for index, kind in enumerate(types) if kind in _PARALLEL_HANDS]
