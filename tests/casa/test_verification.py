"""Looking into restored MeasurementSets: good ones pass with their figures, spoiled ones are found out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_mous import EBS, FIRST

from alma_restore.archive.asdm_structure import AsdmFacts, check_asdm
from alma_restore.casa import verification
from alma_restore.casa.installations import Installation
from alma_restore.errors import CasaFailed
from alma_restore.settings import VerificationSettings
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

Facts = dict[Uid, AsdmFacts]
SETTINGS = VerificationSettings()


@pytest.fixture(scope="session")
def facts(restored: Workspace) -> Facts:
    return {uid: check_asdm(restored.rawdata / uid.sanitised) for uid in EBS}


@pytest.fixture
def one(restored: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the first execution block's restore, to be spoiled."""
    workspace = Workspace(tmp_path / "spool").create({})
    shutil.copytree(restored.products, workspace.products, dirs_exist_ok=True)
    for folder, name in (("rawdata", ""), ("working", ".ms"), ("working", ".ms.flagversions")):
        part = f"{folder}/{FIRST.sanitised}{name}"
        shutil.copytree(restored.root / part, workspace.root / part)
    return workspace


def test_a_good_restore_passes_with_its_figures(restored: Workspace, installation: Installation, facts: Facts) -> None:
    report = verification.verify(restored, installation, facts, SETTINGS)
    assert report.warnings == ()
    figures = report.as_json()
    assert set(figures) == set(EBS)
    for uid in EBS:
        assert figures[uid]["rows"] == facts[uid].ms_rows == 4180
        by_name = {field["name"]: field for field in figures[uid]["by_field"]}
        assert {name: field["intents"] for name, field in by_name.items()} == {
            "J1924-2914": ["AMPLITUDE", "BANDPASS"],
            "J1832-2039": ["PHASE"],
            "DemoTarget": ["TARGET"],
        }
        for field in by_name.values():
            assert 0 < field["flagged"] == field["flagged_in_archive"] < 0.5
            assert field["changed"]
        bandpass = by_name["J1924-2914"]["spectral_windows"]
        assert all(quality["amplitude"] == pytest.approx(3.0, rel=0.1) for quality in bandpass.values())
        assert all(0 < quality["phase_scatter_deg"] < 5 for quality in bandpass.values())
        assert by_name["DemoTarget"]["spectral_windows"] == {}


SPOIL = """
import sys
import numpy
from casaconfig import config
config.logfile = "/dev/null"
from casatools import table
main = table()
main.open(sys.argv[1], nomodify=False)
corrected, flag = main.getcol("CORRECTED_DATA"), main.getcol("FLAG")
good = numpy.argwhere(~flag & (main.getcol("ANTENNA1") != main.getcol("ANTENNA2")))
what = sys.argv[2]
if what == "column gone":
    main.removecols("CORRECTED_DATA")
elif what == "never calibrated":
    main.putcol("CORRECTED_DATA", main.getcol("DATA"))
elif what == "target never calibrated":
    target = main.getcol("FIELD_ID") == 2
    corrected[..., target] = main.getcol("DATA")[..., target]
    main.putcol("CORRECTED_DATA", corrected)
elif what == "not finite":
    corrected[tuple(good[0])] = complex("nan")
    main.putcol("CORRECTED_DATA", corrected)
elif what == "flags not restored":
    main.putcol("FLAG", numpy.zeros_like(flag))
elif what == "all flagged":
    main.putcol("FLAG", numpy.ones_like(flag))
elif what == "target flagged in its only calibrated window":
    description, target = main.getcol("DATA_DESC_ID"), main.getcol("FIELD_ID") == 2
    flag[..., target & (description == 0)] = True
    main.putcol("FLAG", flag)
    corrected[..., description == 1] = main.getcol("DATA")[..., description == 1]
    main.putcol("CORRECTED_DATA", corrected)
elif what == "calibrator noisy":
    rng = numpy.random.default_rng(1)
    main.putcol("CORRECTED_DATA", corrected * numpy.exp(2j * numpy.pi * rng.random(corrected.shape[-1])))
main.close()
"""

SPOILT = {
    "column gone": "no CORRECTED_DATA",
    "never calibrated": "CORRECTED_DATA of J1924-2914 is DATA, unchanged",
    "target never calibrated": "one: CORRECTED_DATA of DemoTarget is DATA, unchanged",
    "not finite": "1 unflagged samples of J1924-2914 are not finite",
    "flags not restored": "samples of .* have lost their archived flags",
    "all flagged": "all of it is flagged",
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_spoilt_measurement_set_is_found_out(
    what: str, one: Workspace, installation: Installation, facts: Facts, run_in_casa: Callable[..., str]
) -> None:
    run_in_casa("-c", SPOIL, one.working / f"{FIRST.sanitised}.ms", what, cwd=one.root)
    with pytest.raises(CasaFailed, match=SPOILT[what]) as caught:
        verification.verify(one, installation, {FIRST: facts[FIRST]}, SETTINGS)
    assert FIRST in caught.value.sentence


def test_windows_that_are_never_calibrated_count_neither_as_calibrated_nor_as_open(
    one: Workspace, installation: Installation, facts: Facts, run_in_casa: Callable[..., str]
) -> None:
    """ALMA's channel averages, beside a target that is flagged through and through in its science window."""
    calapply = one.products / f"{FIRST.sanitised}.ms.calapply.txt"
    calapply.write_text(calapply.read_text().replace("spw='0~1'", "spw='0'"))
    what = "target flagged in its only calibrated window"
    run_in_casa("-c", SPOIL, one.working / f"{FIRST.sanitised}.ms", what, cwd=one.root)
    report = verification.verify(one, installation, {FIRST: facts[FIRST]}, SETTINGS)
    assert report.warnings == (f"{FIRST}: 100% of DemoTarget is flagged (threshold 95%)",)
    by_name = {field["name"]: field for field in report.figures[FIRST]["by_field"]}
    assert (by_name["DemoTarget"]["open"], by_name["DemoTarget"]["flagged"]) == (0, 1)
    assert by_name["J1924-2914"]["changed"]
    run_in_casa("-c", SPOIL, one.working / f"{FIRST.sanitised}.ms", "never calibrated", cwd=one.root)
    with pytest.raises(CasaFailed, match=r"of J1924-2914 is DATA, unchanged; .* of J1832-2039 is DATA"):
        verification.verify(one, installation, {FIRST: facts[FIRST]}, SETTINGS)


def test_a_field_that_is_seen_in_no_calibrated_window_has_no_flagged_fraction(
    one: Workspace, installation: Installation, facts: Facts, run_in_casa: Callable[..., str]
) -> None:
    move = (
        "import sys; from casaconfig import config; config.logfile = '/dev/null'; from casatools import table\n"
        "main = table(); main.open(sys.argv[1], nomodify=False)\n"
        "description, field = main.getcol('DATA_DESC_ID'), main.getcol('FIELD_ID')\n"
        "description[field == 2] = 1; main.putcol('DATA_DESC_ID', description); main.close()\n"
    )
    calapply = one.products / f"{FIRST.sanitised}.ms.calapply.txt"
    calapply.write_text(calapply.read_text().replace("spw='0~1'", "spw='0'"))
    run_in_casa("-c", move, one.working / f"{FIRST.sanitised}.ms", cwd=one.root)
    report = verification.verify(one, installation, {FIRST: facts[FIRST]}, SETTINGS)
    of_target = report.figures[FIRST]["by_field"][-1]
    assert report.warnings == ()
    assert (of_target["samples"], of_target["flagged"], of_target["flagged_in_archive"]) == (0, None, None)


def test_rows_that_the_raw_data_have_must_be_there(one: Workspace, installation: Installation, facts: Facts) -> None:
    main = one.rawdata / FIRST.sanitised / "Main.xml"
    main.write_text(main.read_text().replace("<numIntegration>10<", "<numIntegration>11<"))
    with pytest.raises(CasaFailed, match=r"lacks rows .*scan 1 has 1100 of 1210 rows"):
        verification.verify(one, installation, {FIRST: facts[FIRST]}, SETTINGS)


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ({"scans": (1, 2, 3)}, "its scans are"),
        ({"fields": ("J1924-2914", "J1832-2039")}, "its fields are"),
        ({"antennas": 11}, "it has 10 antennas, the raw data 11"),
        ({"spectral_windows": 4}, "it has 2 spectral windows, the raw data 4"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_the_raw_data_hold_must_be_there(
    fact: dict[str, object], said: str, one: Workspace, installation: Installation, facts: Facts
) -> None:
    with pytest.raises(CasaFailed, match=said):
        verification.verify(one, installation, {FIRST: replace(facts[FIRST], **fact)}, SETTINGS)


def test_a_missing_measurement_set_is_named(one: Workspace, installation: Installation, facts: Facts) -> None:
    with pytest.raises(CasaFailed, match=f"no MeasurementSet {EBS[1].sanitised}.ms, {EBS[2].sanitised}.ms"):
        verification.verify(one, installation, facts, SETTINGS)


def test_an_unreadable_measurement_set_is_a_failure_with_the_log(
    one: Workspace, installation: Installation, facts: Facts
) -> None:
    (one.working / f"{FIRST.sanitised}.ms" / "table.dat").write_bytes(b"no table")
    with pytest.raises(CasaFailed, match="could not be read") as caught:
        verification.verify(one, installation, {FIRST: facts[FIRST]}, SETTINGS)
    assert "table" in caught.value.log_tail


def test_figures_beyond_their_thresholds_warn_or_fail_as_configured(
    one: Workspace, installation: Installation, facts: Facts, run_in_casa: Callable[..., str]
) -> None:
    run_in_casa("-c", SPOIL, one.working / f"{FIRST.sanitised}.ms", "calibrator noisy", cwd=one.root)
    wanted = {FIRST: facts[FIRST]}
    report = verification.verify(one, installation, wanted, SETTINGS.model_copy(update={"max_flagged": 0.001}))
    assert any("% of DemoTarget is flagged (threshold 0%)" in warning for warning in report.warnings)
    assert any("phase of calibrator J1832-2039 in window 0 scatters by" in warning for warning in report.warnings)
    with pytest.raises(CasaFailed, match="beyond the thresholds"):
        verification.verify(one, installation, wanted, SETTINGS.model_copy(update={"violation": "fail"}))
