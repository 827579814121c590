"""What is kept of a MeasurementSet's visibilities: a fair, bounded choice of what is calibrated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest

from ms_reader import Piece
from visibility_samples import Samples

BANDPASS, PHASE, TARGET, POINTING, ATMOSPHERE = range(5)
OBS_MODES = [
    "CALIBRATE_BANDPASS#ON_SOURCE,CALIBRATE_WVR#ON_SOURCE",
    "CALIBRATE_PHASE#ON_SOURCE",
    "OBSERVE_TARGET#ON_SOURCE",
    "CALIBRATE_POINTING#ON_SOURCE",
    "CALIBRATE_ATMOSPHERE#OFF_SOURCE",
]
SCIENCE, CHANNEL_AVERAGE = 17, 18
ANTENNAS = 5
CHANNELS = 8


def piece(rows: int, field: int = 0, state: int = BANDPASS, spw: int = SCIENCE, flux: complex = 2, start: float = 0):
    """One integration a row, one baseline after the other."""
    first, second = numpy.triu_indices(ANTENNAS, 1)
    return Piece(
        spw,
        [0, 1],
        numpy.arange(rows),
        {
            "ANTENNA1": numpy.resize(first, rows),
            "ANTENNA2": numpy.resize(second, rows),
            "FIELD_ID": numpy.full(rows, field),
            "STATE_ID": numpy.full(rows, state),
            "TIME": start + numpy.arange(rows, dtype=float),
            "UVW": numpy.arange(3.0 * rows).reshape(3, rows),
            "FLAG": numpy.zeros((2, CHANNELS, rows), dtype=bool),
            "CORRECTED_DATA": numpy.full((2, CHANNELS, rows), flux, dtype=numpy.complex64),
        },
    )


@pytest.fixture
def samples() -> Samples:
    return Samples(OBS_MODES, calibrated={SCIENCE}, antennas=ANTENNAS)


def saved(samples: Samples, folder: Path) -> dict[str, numpy.ndarray]:
    samples.save(folder / "samples.npz", {})
    with numpy.load(folder / "samples.npz") as arrays:
        return dict(arrays)


def test_each_calibrator_is_judged_in_each_window(samples: Samples) -> None:
    samples.add(piece(20, field=0, flux=3))
    samples.add(piece(20, field=1, state=PHASE, flux=numpy.exp(0.1j)))
    assert samples.quality(0)["17"]["amplitude"] == pytest.approx(3)
    assert samples.quality(0)["17"]["phase_scatter_deg"] == pytest.approx(0)
    assert samples.quality(1)["17"]["phase_scatter_deg"] == pytest.approx(1.4826 * numpy.rad2deg(0.1), rel=1e-4)


@pytest.mark.parametrize(
    "uncalibrated",
    [{"spw": CHANNEL_AVERAGE}, {"state": POINTING}, {"state": ATMOSPHERE}],
    ids=["a window that ALMA records for itself", "a pointing scan", "an atmosphere scan"],
)
def test_what_is_never_calibrated_does_not_count(samples: Samples, uncalibrated: dict[str, int]) -> None:
    samples.add(piece(20, flux=3))
    samples.add(piece(20, flux=-100j, **uncalibrated))
    assert set(samples.quality(0)) == {"17"}
    assert samples.quality(0)["17"] == {"amplitude": pytest.approx(3), "phase_scatter_deg": pytest.approx(0)}


def test_targets_are_not_judged_and_give_the_uv_coverage(samples: Samples, tmp_path: Path) -> None:
    target = piece(20, field=2, state=TARGET)
    target.columns["FLAG"][..., :5] = True
    samples.add(target)
    samples.add(piece(20, field=0))
    assert samples.quality(2) == {}
    uv = saved(samples, tmp_path)["uv"]
    assert sorted(uv[0]) == list(range(5, 20))


def test_flagged_samples_do_not_count(samples: Samples, tmp_path: Path) -> None:
    spoilt = piece(20, flux=3)
    spoilt.columns["CORRECTED_DATA"][:, 2] = spoilt.columns["CORRECTED_DATA"][..., 7] = 1000
    spoilt.columns["FLAG"][:, 2] = spoilt.columns["FLAG"][..., 7] = True
    samples.add(spoilt)
    kept = saved(samples, tmp_path)
    assert samples.quality(0)["17"]["amplitude"] == pytest.approx(3)
    assert kept["points_0_17"].shape == (3, 2 * 19)
    assert numpy.flatnonzero(numpy.isnan(kept["spectrum_0_17"])).tolist() == [2]
    assert kept["spectrum_0_17"][3] == pytest.approx(3)


def test_a_calibrator_that_is_flagged_altogether_has_no_quality(samples: Samples) -> None:
    flagged = piece(20)
    flagged.columns["FLAG"][:] = True
    samples.add(flagged)
    assert samples.quality(0) == {"17": {"amplitude": None, "phase_scatter_deg": None}}


def test_flags_are_counted_by_antenna_at_both_ends_in_calibrated_windows(samples: Samples) -> None:
    of_antenna_4 = piece(10)
    of_antenna_4.columns["FLAG"][..., of_antenna_4.columns["ANTENNA2"] == 4] = True
    samples.add(of_antenna_4)
    samples.add(piece(10, spw=CHANNEL_AVERAGE))
    assert samples.flagged_by_antenna == [0.25, 0.25, 0.25, 0.25, 1]
    assert Samples(OBS_MODES, {SCIENCE}, 1).flagged_by_antenna == [None]


def test_however_much_there_is_the_choice_stays_small_and_fair(samples: Samples, tmp_path: Path) -> None:
    for number in range(40):
        samples.add(piece(3_000, start=3_000.0 * number))
        samples.add(piece(3_000, state=TARGET))
    kept = saved(samples, tmp_path)
    assert (tmp_path / "samples.npz").stat().st_size < 300_000
    times = kept["points_0_17"][0]
    assert times.size == 4_000
    in_quarters = numpy.histogram(times, 4, (0, 120_000))[0]
    assert in_quarters == pytest.approx([1_000] * 4, rel=0.15)
    of_the_first = numpy.histogram(times[:1_000], 4, (0, 120_000))[0]
    assert of_the_first == pytest.approx([250] * 4, rel=0.3)


def test_the_choice_is_the_same_each_time(tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        samples = Samples(OBS_MODES, {SCIENCE}, ANTENNAS)
        samples.add(piece(5_000))
        kept.append(saved(samples, tmp_path)["points_0_17"])
    assert numpy.array_equal(*kept)


def test_names_of_any_kind_are_kept_without_python_objects(samples: Samples, tmp_path: Path) -> None:
    samples.save(tmp_path / "samples.npz", {"fields": ["ζ <script>", "J1 $x$"]})
    with numpy.load(tmp_path / "samples.npz", allow_pickle=False) as arrays:
        assert json.loads(str(arrays["names"])) == {"fields": ["ζ <script>", "J1 $x$"]}
