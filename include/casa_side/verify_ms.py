"""Look into restored MeasurementSets and tell in figures what is there.

`python verify_ms.py <figures.json>`, with a JSON list of `{"ms": path, "asdm": path, "calapply": path}` on stdin; the
figures go to the file, one entry an MS, keyed by its path. Where something was split off, the entry has also `"split":
{"ms": path, "options": parameters of hif_mstransform}`, and gets what split_figures.py finds. Beside the file go, for
each MS, what CASA's listobs says of it (`<ms>.listobs.txt`) and what plots are drawn from (`<ms>.samples.npz`).
Nothing is judged: that is the caller's work (casa/verification.py).
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy

import asdm_rows
import calapply_reader
import split_figures
from intents import APPLIED, casa_intents
from ms_reader import Piece, column, opened, pieces
from signs import RestoreFailed
from visibility_samples import Samples

_COLUMNS = ("ANTENNA1", "ANTENNA2", "FIELD_ID", "STATE_ID", "TIME", "UVW", "FLAG", "CORRECTED_DATA")


def figures(
    ms: Path, asdm: Path, calapply: Path, beside: Path, split: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What one MeasurementSet holds.

    Args:
        calapply: what calibration was applied to it.
        beside: the folder for its listing and its samples.
        split: what was split off from it, and how.

    Returns:
        rows, scans, fields, antennas, spectral_windows: as the MS has them; missing_rows: what it lacks, by the raw
        data's Main.xml; corrected: has it a CORRECTED_DATA column; by_field: see `_Field.figures`; by_antenna: name
        and flagged fraction of its calibrated cross-correlations, None where it has none; split: see
        `split_figures.figures`.
    """
    with opened(ms) as main:
        found = Counter(main.getcol("SCAN_NUMBER").tolist())
        corrected = "CORRECTED_DATA" in main.colnames()
    antennas = column(ms / "ANTENNA", "NAME")
    calibrated = _calibrated_windows(ms, calapply)
    samples = Samples(column(ms / "STATE", "OBS_MODE"), calibrated, len(antennas))
    by_field = _by_field(ms, samples, calibrated) if corrected else []
    of_split = None
    if split and corrected:
        words = (split["options"].get("intent") or "TARGET").split(",")
        windows = _calibrated_windows(ms, calapply, words)
        of_split = split_figures.figures(ms, Path(split["ms"]), split["options"], windows)
    samples.save(beside / f"{ms.name}.samples.npz", _names(ms))
    _list_observation(ms, beside / f"{ms.name}.listobs.txt")
    return {
        "rows": sum(found.values()),
        "scans": sorted(found),
        "fields": column(ms / "FIELD", "NAME"),
        "antennas": len(antennas),
        "spectral_windows": len(column(ms / "SPECTRAL_WINDOW", "NAME")),
        "missing_rows": _missing_rows(asdm, found),
        "corrected": corrected,
        "by_field": by_field,
        "by_antenna": [
            {"name": name, "flagged": flagged}
            for name, flagged in zip(antennas, samples.flagged_by_antenna, strict=True)
        ],
        "split": of_split,
    }


def _calibrated_windows(ms: Path, calapply: Path, words: Collection[str] = ()) -> set[int]:
    """The spectral windows that calibration is applied to; others hold what ALMA records for itself.

    Args:
        words: only of data with these intents, in the pipeline's words.
    """
    from casatools import ms as measurement_set

    calls = calapply_reader.read(calapply)
    selections = {call.spw for call in calls if not words or not call.intents or {*words} & {*call.intents}}
    return {spw for selection in selections for spw in measurement_set().msseltoindex(str(ms), spw=selection)["spw"]}


def _names(ms: Path) -> dict[str, Any]:
    """What the plots call things; frequencies are those of the windows' centres."""
    with opened(ms / "SPECTRAL_WINDOW") as windows:
        centres = [float(windows.getcell("CHAN_FREQ", row).mean()) for row in range(windows.nrows())]
    return {
        "ms": ms.name,
        "fields": column(ms / "FIELD", "NAME"),
        "antennas": column(ms / "ANTENNA", "NAME"),
        "centres_hz": centres,
    }


def _list_observation(ms: Path, path: Path) -> None:
    """What listobs writes."""
    from casatools import ms as measurement_set

    tool = measurement_set()
    tool.open(str(ms))
    try:
        tool.summary(verbose=True, listfile=str(path), overwrite=True)
    finally:
        tool.close()


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
        self.samples = self.open = self.flagged_in_archive = self.lost_flags = self.not_finite = 0
        self.changed = False

    def figures(self, name: str, obs_modes: list[str], quality: dict[str, Any]) -> dict[str, Any]:
        """Cross-correlations only.

        Returns:
            intents: pipeline words; spectral_windows: see `Samples.quality`. Of all windows: lost_flags: samples
            flagged in the archive and not here; not_finite: of those not flagged, in CORRECTED_DATA. Of the windows
            that calibration is applied to: samples: how many; open: how many of them are not flagged; flagged: the
            fraction that is, None where there are no samples; flagged_in_archive: the same in the archived flags;
            changed: does CORRECTED_DATA differ from DATA in an open one.
        """
        modes = [obs_modes[state] for state in self.states if 0 <= state < len(obs_modes)]
        return {
            "name": name,
            "intents": [word for word in sorted(APPLIED) if casa_intents([word], modes)],
            "samples": self.samples,
            "open": self.open,
            "flagged": (self.samples - self.open) / self.samples if self.samples else None,
            "flagged_in_archive": self.flagged_in_archive / self.samples if self.samples else None,
            "lost_flags": self.lost_flags,
            "not_finite": self.not_finite,
            "changed": self.changed,
            "spectral_windows": quality,
        }


def _by_field(ms: Path, samples: Samples, calibrated: Collection[int]) -> list[dict[str, Any]]:
    """Go once through FLAG and CORRECTED_DATA, through the archived flags, and through as much of DATA as is needed."""
    fields: dict[int, _Field] = defaultdict(_Field)
    archived = Path(f"{ms}.flagversions", "flags.Pipeline_Final")
    with ExitStack() as stack:
        main = stack.enter_context(opened(ms))
        archived_flags = stack.enter_context(opened(archived)) if archived.is_dir() else None
        for piece in pieces(ms, _COLUMNS):
            samples.add(piece)
            before = None if archived_flags is None else _rows_of(archived_flags, "FLAG", piece.rows)
            for number, of_field in _by_number(piece.columns["FIELD_ID"]):
                _add(fields[number], piece, of_field, before, main, calibrated)
    names = column(ms / "FIELD", "NAME")
    obs_modes = column(ms / "STATE", "OBS_MODE")
    return [
        found.figures(names[number], obs_modes, samples.quality(number)) for number, found in sorted(fields.items())
    ]


def _by_number(numbers: numpy.ndarray) -> Iterator[tuple[int, Any]]:
    """Each number with where it stands; all the same needs no copy."""
    found = numpy.unique(numbers).tolist()
    for number in found:
        yield number, slice(None) if len(found) == 1 else numbers == number


def _add(
    field: _Field, piece: Piece, of_field: Any, before: numpy.ndarray | None, main: Any, calibrated: Collection[int]
) -> None:
    flag = piece.columns["FLAG"][..., of_field]
    corrected = piece.columns["CORRECTED_DATA"][..., of_field]
    archived = numpy.zeros_like(flag) if before is None else before[..., of_field]
    field.states.update(numpy.unique(piece.columns["STATE_ID"][of_field]).tolist())
    field.lost_flags += int((archived & ~flag).sum())
    field.not_finite += int((~numpy.isfinite(corrected) & ~flag).sum())
    if piece.spw not in calibrated:
        return
    field.samples += flag.size
    field.open += int((~flag).sum())
    field.flagged_in_archive += int(archived.sum())
    if not field.changed and not flag.all():
        data = _rows_of(main, "DATA", piece.rows[of_field])
        field.changed = bool(((data != corrected) & ~flag).any())


def _rows_of(one: Any, name: str, rows: numpy.ndarray) -> numpy.ndarray:
    selected = one.selectrows(rows.tolist())
    try:
        return selected.getcol(name)
    finally:
        selected.close()


def main() -> None:
    from casaconfig import config

    config.logfile = "/dev/null"  # nothing is asked of CASA that would need a log
    result = Path(sys.argv[1])
    found = {
        one["ms"]: figures(Path(one["ms"]), Path(one["asdm"]), Path(one["calapply"]), result.parent, one.get("split"))
        for one in json.load(sys.stdin)
    }
    result.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
