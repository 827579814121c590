"""Look into restored MeasurementSets and tell in figures what is there.

`python verify_ms.py <figures.json>`, with a JSON list of `{"ms": path, "asdm": path}` on stdin; the figures go to the
file, one entry an MS, keyed by its path. It judges nothing: that is the caller's work (casa/verification.py).
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy

import asdm_rows
from intents import APPLIED, casa_intents
from ms_reader import Piece, column, opened, pieces
from signs import RestoreFailed

_CALIBRATORS = set(APPLIED) - {"TARGET", "CHECK"}
_SAMPLES_PER_PIECE = 2_000
_SIGMA_OF_MEDIAN_DEVIATION = 1.4826


def figures(ms: Path, asdm: Path) -> dict[str, Any]:
    """What one MeasurementSet holds.

    Returns:
        rows, scans, fields, antennas, spectral_windows: as the MS has them; missing_rows: what it lacks, by the raw
        data's Main.xml; corrected: has it a CORRECTED_DATA column; by_field: see `_Field.figures`.
    """
    with opened(ms) as main:
        found = Counter(main.getcol("SCAN_NUMBER").tolist())
        corrected = "CORRECTED_DATA" in main.colnames()
    return {
        "rows": sum(found.values()),
        "scans": sorted(found),
        "fields": column(ms / "FIELD", "NAME"),
        "antennas": len(column(ms / "ANTENNA", "NAME")),
        "spectral_windows": len(column(ms / "SPECTRAL_WINDOW", "NAME")),
        "missing_rows": _missing_rows(asdm, found),
        "corrected": corrected,
        "by_field": _by_field(ms) if corrected else [],
    }


def _missing_rows(asdm: Path, found: dict[int, int]) -> list[str]:
    try:
        expected = asdm_rows.expected_rows(asdm)
    except RestoreFailed as failure:
        return [failure.sentence]
    return [
        f"scan {scan} has {found.get(scan, 0)} of {rows.rows} rows"
        for scan, rows in sorted(expected.items())
        if not rows.agrees(found.get(scan, 0))
    ]


class _Field:
    """What is found of one field."""

    def __init__(self) -> None:
        self.states: set[int] = set()
        self.samples = self.flagged = self.flagged_in_archive = self.lost_flags = self.not_finite = 0
        self.changed = False
        self.visibilities: dict[int, list[numpy.ndarray]] = defaultdict(list)

    def figures(self, name: str, obs_modes: list[str]) -> dict[str, Any]:
        """Cross-correlations only.

        Returns:
            intents: pipeline words; samples: how many; flagged: fraction of them; flagged_in_archive: the same in the
            archived flags; lost_flags: samples flagged in the archive and not here. Of samples that are not flagged:
            not_finite: in CORRECTED_DATA; changed: does CORRECTED_DATA differ from DATA; spectral_windows: of
            calibrators, the median amplitude (Jy) and the scatter of phase about that of a point source (degrees),
            channels averaged.
        """
        modes = [obs_modes[state] for state in self.states if 0 <= state < len(obs_modes)]
        intents = [word for word in sorted(APPLIED) if casa_intents([word], modes)]
        calibrates = not _CALIBRATORS.isdisjoint(intents)
        return {
            "name": name,
            "intents": intents,
            "samples": self.samples,
            "flagged": self.flagged / self.samples,
            "flagged_in_archive": self.flagged_in_archive / self.samples,
            "lost_flags": self.lost_flags,
            "not_finite": self.not_finite,
            "changed": self.changed,
            "spectral_windows": {
                str(spw): _quality(numpy.concatenate(found)) for spw, found in self.visibilities.items() if calibrates
            },
        }


def _by_field(ms: Path) -> list[dict[str, Any]]:
    """Go once through FLAG and CORRECTED_DATA, through the archived flags, and through as much of DATA as is needed."""
    fields: dict[int, _Field] = defaultdict(_Field)
    archived = Path(f"{ms}.flagversions", "flags.Pipeline_Final")
    with ExitStack() as stack:
        main = stack.enter_context(opened(ms))
        archived_flags = stack.enter_context(opened(archived)) if archived.is_dir() else None
        for piece in pieces(ms, ("FIELD_ID", "STATE_ID", "FLAG", "CORRECTED_DATA")):
            before = None if archived_flags is None else _rows_of(archived_flags, "FLAG", piece.rows)
            for number, of_field in _by_number(piece.columns["FIELD_ID"]):
                _add(fields[number], piece, of_field, before, main)
    names = column(ms / "FIELD", "NAME")
    obs_modes = column(ms / "STATE", "OBS_MODE")
    return [found.figures(names[number], obs_modes) for number, found in sorted(fields.items())]


def _by_number(numbers: numpy.ndarray) -> Iterator[tuple[int, Any]]:
    """Each number with where it stands; all the same needs no copy."""
    found = numpy.unique(numbers).tolist()
    for number in found:
        yield number, slice(None) if len(found) == 1 else numbers == number


def _add(field: _Field, piece: Piece, of_field: Any, before: numpy.ndarray | None, main: Any) -> None:
    flag = piece.columns["FLAG"][..., of_field]
    corrected = piece.columns["CORRECTED_DATA"][..., of_field]
    field.states.update(numpy.unique(piece.columns["STATE_ID"][of_field]).tolist())
    field.samples += flag.size
    field.flagged += int(flag.sum())
    if before is not None:
        archived = before[..., of_field]
        field.flagged_in_archive += int(archived.sum())
        field.lost_flags += int((archived & ~flag).sum())
    field.not_finite += int((~numpy.isfinite(corrected) & ~flag).sum())
    if not field.changed and not flag.all():
        data = _rows_of(main, "DATA", piece.rows[of_field])
        field.changed = bool(((data != corrected) & ~flag).any())
    field.visibilities[piece.spw].append(_channel_averages(corrected, flag, piece.parallel_hands))


def _rows_of(one: Any, name: str, rows: numpy.ndarray) -> numpy.ndarray:
    selected = one.selectrows(rows.tolist())
    try:
        return selected.getcol(name)
    finally:
        selected.close()


def _channel_averages(corrected: numpy.ndarray, flag: numpy.ndarray, hands: list[int]) -> numpy.ndarray:
    """A spread of the piece's visibilities, XX and YY, averaged over the channels that are not flagged."""
    stride = max(1, corrected.shape[-1] * len(hands) // _SAMPLES_PER_PIECE)
    good = ~flag[..., ::stride][hands]
    channels = good.sum(axis=1)
    total = numpy.where(good, corrected[..., ::stride][hands], 0).sum(axis=1)
    return total[channels > 0] / channels[channels > 0]


def _quality(visibilities: numpy.ndarray) -> dict[str, float | None]:
    if not visibilities.size:
        return {"amplitude": None, "phase_scatter_deg": None}
    deviation = float(numpy.median(numpy.abs(numpy.angle(visibilities, deg=True))))
    return {
        "amplitude": float(numpy.median(numpy.abs(visibilities))),
        "phase_scatter_deg": _SIGMA_OF_MEDIAN_DEVIATION * deviation,
    }


def main() -> None:
    from casaconfig import config

    config.logfile = "/dev/null"  # nothing is asked of CASA that would need a log
    found = {one["ms"]: figures(Path(one["ms"]), Path(one["asdm"])) for one in json.load(sys.stdin)}
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
