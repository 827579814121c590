"""A spread of one MeasurementSet's calibrated visibilities: of bounded size, whatever the size of the data.

Quality figures are computed from it (verify_ms.py), and the report's plots drawn (plot_figures.py).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy

from intents import CALIBRATORS, casa_intents
from ms_reader import Piece

_ROWS_PER_PIECE = 1_000
_POINTS = 4_000
_SIGMA_OF_MEDIAN_DEVIATION = 1.4826


class Samples:
    """What is seen in passing through the cross-correlations of one MeasurementSet, piece by piece.

    The choice of samples is random and the same each time.

    Args:
        obs_modes: the STATE table's OBS_MODE column.
        calibrated: ids of the spectral windows that calibration is applied to.
        antennas: how many there are.
    """

    def __init__(self, obs_modes: list[str], calibrated: Collection[int], antennas: int) -> None:
        self._calibrator_states = _states_of(CALIBRATORS, obs_modes)
        self._target_states = _states_of({"TARGET"}, obs_modes)
        self._calibrated = frozenset(calibrated)
        self._random = numpy.random.default_rng(0)
        self._points: dict[tuple[int, int], _Reservoir] = defaultdict(lambda: _Reservoir(self._random, 3))
        self._spectra: dict[tuple[int, int], _Spectrum] = {}
        self._uv = _Reservoir(self._random, 2)
        self._samples, self._flagged = numpy.zeros(antennas), numpy.zeros(antennas)

    def add(self, piece: Piece) -> None:
        if piece.spw not in self._calibrated:
            return
        self._count_flags(piece)
        states, fields = piece.columns["STATE_ID"], piece.columns["FIELD_ID"]
        targets = self._some(numpy.isin(states, self._target_states))
        seen = ~piece.columns["FLAG"][..., targets].all(axis=(0, 1))
        self._uv.add(piece.columns["UVW"][:2, targets[seen]])
        calibrators = self._some(numpy.isin(states, self._calibrator_states))
        for field in numpy.unique(fields[calibrators]).tolist():
            self._add_calibrator(field, piece, calibrators[fields[calibrators] == field])

    def quality(self, field: int) -> dict[str, dict[str, float | None]]:
        """Median amplitude (Jy), and the scatter of phase about that of a point source (degrees), by window.

        Of calibrators only: for other fields it is empty. Channels are averaged.
        """
        return {
            str(spw): _quality(points.columns)
            for (its_field, spw), points in self._points.items()
            if its_field == field
        }

    @property
    def flagged_by_antenna(self) -> list[float | None]:
        """The flagged fraction of each antenna's calibrated samples; None where it has none."""
        return [
            flagged / samples if samples else None
            for flagged, samples in zip(self._flagged.tolist(), self._samples.tolist(), strict=True)
        ]

    def save(self, path: Path, names: dict[str, Any]) -> None:
        """Write all that the plots need, as arrays without Python objects.

        Args:
            names: of fields, antennas and spectral windows, for the reader.
        """
        points = {f"points_{field}_{spw}": found.columns for (field, spw), found in self._points.items()}
        spectra = {f"spectrum_{field}_{spw}": found.average for (field, spw), found in self._spectra.items()}
        flagged = numpy.array(self.flagged_by_antenna, dtype=float)
        numpy.savez(path, names=json.dumps(names), flagged=flagged, uv=self._uv.columns, **points, **spectra)

    def _count_flags(self, piece: Piece) -> None:
        flag = piece.columns["FLAG"]
        flagged_of_row = flag.sum(axis=(0, 1))
        for end in ("ANTENNA1", "ANTENNA2"):
            antenna, length = piece.columns[end], self._samples.size
            self._samples += numpy.bincount(antenna, minlength=length) * (flag.shape[0] * flag.shape[1])
            self._flagged += numpy.bincount(antenna, weights=flagged_of_row, minlength=length)

    def _add_calibrator(self, field: int, piece: Piece, rows: numpy.ndarray) -> None:
        good = ~piece.columns["FLAG"][..., rows][piece.parallel_hands]
        visibilities = numpy.where(good, piece.columns["CORRECTED_DATA"][..., rows][piece.parallel_hands], 0)
        key = field, piece.spw
        self._spectra.setdefault(key, _Spectrum(good.shape[1])).add(visibilities, good)
        channels = good.sum(axis=1)
        seen = channels > 0
        averages = visibilities.sum(axis=1)[seen] / channels[seen]
        times = numpy.broadcast_to(piece.columns["TIME"][rows], seen.shape)[seen]
        self._points[key].add(numpy.stack([times, averages.real, averages.imag]))

    def _some(self, wanted: numpy.ndarray) -> numpy.ndarray:
        """Numbers of some of the wanted rows of a piece."""
        rows = numpy.flatnonzero(wanted)
        if rows.size > _ROWS_PER_PIECE:
            rows = numpy.sort(self._random.choice(rows, _ROWS_PER_PIECE, replace=False))
        return rows


class _Reservoir:
    """A fair choice of at most `_POINTS` from a stream of any length: those that drew the lowest lots.

    Attributes:
        columns: one a point, as many numbers each as asked for; in the order of their lots, so that the first ones are
            a fair choice as well.
    """

    def __init__(self, random: numpy.random.Generator, numbers: int) -> None:
        self._random = random
        self._lots = numpy.empty(0)
        self.columns = numpy.empty((numbers, 0))

    def add(self, columns: numpy.ndarray) -> None:
        lots = numpy.concatenate([self._lots, self._random.random(columns.shape[1])])
        kept = numpy.argsort(lots)[:_POINTS]
        self._lots, self.columns = lots[kept], numpy.concatenate([self.columns, columns], axis=1)[:, kept]


class _Spectrum:
    """The vector average of visibilities in each channel, over time, baselines and hands."""

    def __init__(self, channels: int) -> None:
        self._sum = numpy.zeros(channels, dtype=complex)
        self._count = numpy.zeros(channels, dtype=int)

    def add(self, visibilities: numpy.ndarray, good: numpy.ndarray) -> None:
        self._sum += visibilities.sum(axis=(0, 2))
        self._count += good.sum(axis=(0, 2))

    @property
    def average(self) -> numpy.ndarray:
        """NaN where a channel is flagged."""
        return numpy.where(self._count > 0, self._sum / numpy.maximum(self._count, 1), numpy.nan)


def _states_of(words: Collection[str], obs_modes: list[str]) -> list[int]:
    return [number for number, modes in enumerate(obs_modes) if casa_intents(words, [modes])]


def _quality(points: numpy.ndarray) -> dict[str, float | None]:
    if not points.size:
        return {"amplitude": None, "phase_scatter_deg": None}
    visibilities = points[1] + 1j * points[2]
    deviation = float(numpy.median(numpy.abs(numpy.angle(visibilities, deg=True))))
    return {
        "amplitude": float(numpy.median(numpy.abs(visibilities))),
        "phase_scatter_deg": _SIGMA_OF_MEDIAN_DEVIATION * deviation,
    }
