"""Hold what was split off, `<eb>_targets.ms`, against the calibrated MeasurementSet that it was split from.

Some baselines of each scan are averaged here once more, in the simplest way, and compared. Nothing is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from intents import casa_intents
from ms_reader import column, opened

_BASELINES_A_SCAN = 4
_TOLERANCE = 1e-4  # of the typical amplitude
_ROUNDING = float(numpy.finfo(numpy.float32).eps)  # CASA sums in single precision: of the largest, for each summand
_ROW_COLUMNS = ("SCAN_NUMBER", "FIELD_ID", "ANTENNA1", "ANTENNA2", "TIME", "INTERVAL")


@dataclass
class _Found:
    """What the comparison of all windows has found."""

    rows: int = 0
    rows_wanted: int = 0
    fields: set[int] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    samples: int = 0
    flagged: int = 0
    compared: int = 0
    differ: int = 0
    lost_flags: int = 0
    windows: dict[str, dict[str, int]] = field(default_factory=dict)


def figures(ms: Path, split: Path, options: Mapping[str, str], windows: set[int]) -> dict[str, Any]:
    """What one split-off MeasurementSet holds.

    Args:
        options: parameters of hif_mstransform as the PPR spells them.
        windows: the spectral windows in which what is asked for is calibrated.

    Returns:
        rows, and rows_wanted: how many the selection has in the calibrated MeasurementSet; fields: names; windows: by
        number the `channels` and how many there were (`of`); missing: what the selection has and this has not, in
        words; strays: rows of anything else; flagged: fraction of the cross-correlations looked at. Of these:
        compared: samples whose average is beyond doubt; differ: how many of them have other values, or are flagged;
        lost_flags: samples that are not flagged though all they are averaged of is.
    """
    words = (options.get("intent") or "TARGET").split(",")
    wanted = _Selection(ms, words, options)
    windows = wanted.windows if options.get("spw") else windows
    found = _Found()
    averaged = float((options.get("timebin") or "0s").removesuffix("s")) > 0
    chanbin = int(options.get("chanbin") or 1)
    with opened(ms) as whole, opened(split) as small:
        strays = small.nrows()
        spws = column(ms / "DATA_DESCRIPTION", "SPECTRAL_WINDOW_ID")
        for description in (number for number, spw in enumerate(spws) if spw in windows):
            condition = f"DATA_DESC_ID=={description} && {wanted.condition}"
            before, after = _Rows.of(whole, condition), _Rows.of(small, condition)
            if not before.count:
                continue
            strays -= after.count
            spw = spws[description]
            _count(found, spw, before, after, averaged)
            if after.count:
                _compare(found, whole, small, before, after, chanbin)
                found.windows[str(spw)] = {
                    "channels": small.getcell("FLAG", int(after.numbers[0])).shape[1],
                    "of": whole.getcell("FLAG", int(before.numbers[0])).shape[1],
                }
    names = column(ms / "FIELD", "NAME")
    return {
        "rows": found.rows,
        "rows_wanted": found.rows_wanted,
        "fields": sorted({names[number] for number in found.fields}),
        "windows": found.windows,
        "missing": found.missing,
        "strays": strays,
        "flagged": found.flagged / found.samples if found.samples else 1.0,
        "compared": found.compared,
        "differ": found.differ,
        "lost_flags": found.lost_flags,
    }


class _Selection:
    """What the options select of a MeasurementSet.

    Attributes:
        condition: of states and fields, in the table query language.
        windows: the spectral windows that are named.
    """

    def __init__(self, ms: Path, words: list[str], options: Mapping[str, str]) -> None:
        from casatools import ms as measurement_set

        modes = column(ms / "STATE", "OBS_MODE")
        states = [number for number, mode in enumerate(modes) if casa_intents(words, [mode])]
        self.condition = f"STATE_ID IN {states or [-1]}"
        self.windows: set[int] = set()
        chosen = measurement_set().msseltoindex(str(ms), field=options.get("field", ""), spw=options.get("spw", ""))
        if options.get("spw"):
            self.windows = set(chosen["spw"].tolist())
        if options.get("field"):
            self.condition += f" && FIELD_ID IN {chosen['field'].tolist()}"


@dataclass(frozen=True)
class _Rows:
    """The rows of one selection, as columns; `numbers` are those in the whole table."""

    numbers: numpy.ndarray
    scan: numpy.ndarray
    field_id: numpy.ndarray
    antenna1: numpy.ndarray
    antenna2: numpy.ndarray
    time: numpy.ndarray
    interval: numpy.ndarray

    @classmethod
    def of(cls, main: Any, condition: str) -> _Rows:
        selected = main.query(condition)
        try:
            if not selected.nrows():
                return cls(*(numpy.empty(0, int) for _ in range(1 + len(_ROW_COLUMNS))))
            return cls(numpy.asarray(selected.rownumbers()), *(selected.getcol(name) for name in _ROW_COLUMNS))
        finally:
            selected.close()

    @property
    def count(self) -> int:
        return int(self.numbers.size)

    def baselines(self) -> Iterator[tuple[int, int, int]]:
        """Some pairs of antennas of each scan, always the same ones."""
        random = numpy.random.default_rng(0)
        for scan in numpy.unique(self.scan).tolist():
            crossed = (self.scan == scan) & (self.antenna1 != self.antenna2)
            pairs = numpy.unique(numpy.stack([self.antenna1[crossed], self.antenna2[crossed]], axis=1), axis=0)
            for first, second in random.permutation(pairs)[:_BASELINES_A_SCAN].tolist():
                yield scan, first, second

    def where(self, scan: int, first: int, second: int) -> numpy.ndarray:
        """Indexes of a baseline's rows in a scan, in order of time."""
        found = numpy.flatnonzero((self.scan == scan) & (self.antenna1 == first) & (self.antenna2 == second))
        return found[numpy.argsort(self.time[found])]


def _count(found: _Found, spw: int, before: _Rows, after: _Rows, averaged: bool) -> None:
    """Rows of each scan: as many as before, or fewer where integrations are averaged, but some."""
    found.rows += after.count
    found.rows_wanted += before.count
    found.fields.update(numpy.unique(after.field_id).tolist())
    for scan in numpy.unique(before.scan).tolist():
        wanted, there = int((before.scan == scan).sum()), int((after.scan == scan).sum())
        if there > wanted or (there < wanted and not (averaged and there)):
            found.missing.append(f"scan {scan}, window {spw}: {there} rows of {wanted}")


def _compare(found: _Found, whole: Any, small: Any, before: _Rows, after: _Rows, chanbin: int) -> None:
    for scan, first, second in before.baselines():
        rows, made = before.where(scan, first, second), after.where(scan, first, second)
        bins = _bins(before, rows, after, made)
        corrected, flagged, weight = _read(whole, before.numbers[rows], "CORRECTED_DATA", "FLAG", "WEIGHT")
        outside = flagged[..., bins < 0]  # CASA's averages end where wholly flagged integrations begin
        if not outside.all() or numpy.unique(bins[bins >= 0]).size != made.size:
            found.missing.append(f"scan {scan}: baseline {first}&{second} has integrations of other times")
            continue
        if not made.size:
            continue
        data, flag = _read(small, after.numbers[made], "DATA", "FLAG")
        for number in range(made.size):
            some = bins == number
            _compare_one(
                found,
                data[..., number],
                flag[..., number],
                corrected[..., some],
                flagged[..., some],
                weight[:, some],
                min(chanbin, corrected.shape[1]),
            )


def _bins(before: _Rows, rows: numpy.ndarray, after: _Rows, made: numpy.ndarray) -> numpy.ndarray:
    """For each row the number of the averaged one that covers its time, or -1.

    Each field is averaged by itself: where a mosaic comes back to its pointings within a scan, their times overlap.
    """
    if not made.size:
        return numpy.full(rows.size, -1)
    covers = numpy.abs(before.time[rows][:, None] - after.time[made]) <= after.interval[made] / 2
    covers &= before.field_id[rows][:, None] == after.field_id[made]
    return numpy.where(covers.any(axis=1), covers.argmax(axis=1), -1)


def _read(main: Any, numbers: numpy.ndarray, *names: str) -> list[numpy.ndarray]:
    """Columns of some rows, in the order of their numbers as given."""
    order = numpy.argsort(numbers)
    selected = main.selectrows(numbers[order].tolist())
    try:
        back = numpy.argsort(order)
        return [selected.getcol(name)[..., back] for name in names]
    finally:
        selected.close()


def _compare_one(
    found: _Found,
    data: numpy.ndarray,
    flag: numpy.ndarray,
    corrected: numpy.ndarray,
    flagged: numpy.ndarray,
    weight: numpy.ndarray,
    width: int,
) -> None:
    """One averaged row (correlations, channels) against the rows it is made of (correlations, channels, rows)."""
    correlations, channels = data.shape
    found.samples += flag.size
    found.flagged += int(flag.sum())
    if channels != corrected.shape[1] // width:
        found.differ += data.size
        return
    kept = channels * width  # channels that do not fill a last one are dropped
    shape = (correlations, channels, width, corrected.shape[2])
    flagged, corrected = flagged[:, :kept].reshape(shape), corrected[:, :kept].reshape(shape)
    counts = (~flagged).sum(axis=2)
    summands = numpy.where(flagged, 0, corrected)
    by_row = summands.sum(axis=2) / numpy.maximum(counts, 1)
    expected = (by_row * weight[:, None, :]).sum(axis=2) / weight.sum(axis=1)[:, None]
    same_flags = (flagged.all(axis=3) == flagged.any(axis=3)).all(axis=2)  # else CASA's own weights would matter
    clear = same_flags & counts.any(axis=2)
    rounding = _ROUNDING * (width + corrected.shape[3]) * numpy.abs(summands).max(axis=(2, 3))
    off = numpy.abs(data - expected) > numpy.maximum(_TOLERANCE * numpy.abs(summands).mean(), rounding)
    found.compared += int(clear.sum())
    found.differ += int((clear & (flag | off | ~numpy.isfinite(data))).sum())
    found.lost_flags += int((~counts.any(axis=2) & ~flag).sum())
