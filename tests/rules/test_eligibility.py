"""Which MOUSs are restorable, and what is said of the others (DOMAIN section 2)."""

from datetime import datetime, timezone

import pytest

from alma_restore.archive.records import Calibration, ExecutionBlock, ProductFile
from alma_restore.rules.eligibility import is_caltables, is_manifest, is_manual_script, judge
from alma_restore.uid import Uid

MOUS = "uid___A001_X12d1_X23e"

SCIENCE = ("science", f"member.{MOUS}._J0522_sci.spw25.cube.I.pbcor.fits")
MANIFEST = ("script", f"member.{MOUS}.hifa_calimage.pipeline_manifest.xml")
CALTABLES = ("calibration", f"member.{MOUS}.session_1.caltables.tgz")
FOR_PI = ("script", f"member.{MOUS}.scriptForPI.py")
BY_HAND = ("script", f"member.{MOUS}.scriptForCalibration.py")
SINGLE_DISH = ("calibration", f"member.{MOUS}.hsd_calimage.auxproducts.tgz")
GOOD = (SCIENCE, MANIFEST, CALTABLES, FOR_PI)

BEFORE_OCTOBER = datetime(2017, 9, 30, 23, 59, 59, tzinfo=timezone.utc)
OCTOBER = datetime(2017, 10, 1, tzinfo=timezone.utc)


def calibration(files=GOOD, qa0=("Pass",), at=OCTOBER, arrays=("TWELVE-M",)):
    blocks = [ExecutionBlock(Uid(f"uid://A002/X1/X{n}"), verdict, "s", at) for n, verdict in enumerate(qa0, start=1)]
    rows = tuple(ProductFile(file_id, file_class, 1) for file_class, file_id in files)
    return Calibration(Uid("uid://A001/X12d1/X23e"), at, rows, tuple(blocks), tuple(arrays))


@pytest.mark.parametrize(
    ("facts", "code", "told"),
    [
        ({}, "restorable", "1 execution block)"),
        ({"qa0": ("Fail", "Pass", "SemiPass", "Pass")}, "restorable", "2 execution blocks)"),
        ({"at": None}, "restorable", ""),
        ({"files": ()}, "no_science_products", "not complete"),
        ({"files": (MANIFEST, CALTABLES, FOR_PI)}, "no_science_products", "no science products"),
        ({"files": (*GOOD, BY_HAND)}, "manual_calibration", "member.uid___A001_X12d1_X23e.scriptForCalibration.py"),
        ({"files": (SCIENCE, BY_HAND)}, "manual_calibration", "by hand"),
        ({"files": (SCIENCE, BY_HAND), "arrays": ["TP-Array"]}, "manual_calibration", "by hand"),
        ({"files": (*GOOD, SINGLE_DISH)}, "single_dish", "hsd_calimage.auxproducts.tgz"),
        ({"files": (SCIENCE, SINGLE_DISH), "qa0": ("Fail",)}, "single_dish", "total power"),
        ({"arrays": ("TP-Array",)}, "single_dish", "TP-Array"),
        ({"arrays": ("TP-Array", "TWELVE-M")}, "restorable", ""),
        ({"arrays": ("SEVEN-M",)}, "restorable", ""),
        ({"arrays": ()}, "restorable", ""),
        (
            {"qa0": ("SemiPass", "Fail", "Fail", "Pending", "Unset")},
            "no_pass_eb",
            "2 Fail, 1 Pending, 1 SemiPass, 1 Un",
        ),
        ({"qa0": ()}, "no_pass_eb", "lists no execution block"),
        ({"files": (SCIENCE, FOR_PI), "qa0": ("SemiPass",)}, "no_pass_eb", "1 SemiPass"),
        ({"at": BEFORE_OCTOBER}, "before_2017_10", "2017-09-30"),
        ({"files": (SCIENCE, CALTABLES), "at": BEFORE_OCTOBER}, "before_2017_10", "October 2017"),
        ({"files": (SCIENCE, CALTABLES, FOR_PI)}, "no_manifest", "pipeline_manifest.xml"),
        ({"files": (SCIENCE, FOR_PI)}, "no_manifest", "manifest"),
        ({"files": (SCIENCE, MANIFEST, FOR_PI)}, "no_caltables", "*.caltables.tgz"),
        ({"files": (SCIENCE, MANIFEST, ("calibration", "s.session_1.auxcaltables.tgz"))}, "no_caltables", ""),
        ({"files": (SCIENCE, MANIFEST, ("calibration", f"member.{MOUS}.s1.caltables.tgz"))}, "restorable", ""),
        ({"files": (SCIENCE, CALTABLES, ("script", "pipeline_manifest.xml"))}, "restorable", ""),
        ({"files": (SCIENCE, CALTABLES, ("weblog", "a.pipeline_manifest.xml"))}, "no_manifest", ""),
    ],
)
def test_each_reason_has_its_own_code_and_words(facts, code, told):
    verdict = judge(calibration(**facts))
    assert (verdict.code, verdict.restorable) == (code, code == "restorable")
    assert told in verdict.sentence
    assert verdict.sentence.endswith(".")


@pytest.mark.parametrize(
    ("file_id", "manual"),
    [
        ("scriptForCalibration.py", True),
        ("member.x.scriptForFluxCalibration.py", True),
        ("scriptForPolCalibration.py", True),
        ("scriptForSDCalibration.py", True),
        ("scriptForImaging.py then something Cal", True),
        ("scriptForPI.py", False),
        ("scriptForImaging.py", False),
        ("member.x.hifa_calimage.scriptForPI.py", False),
        ("scriptforcalibration.py", False),
        ("ScriptForCalibration.py", False),
        ("scriptForPI.hifa_cal.py", False),
        ("casa_pipescript.py", False),
    ],
)
def test_a_manual_script_is_what_oracles_case_sensitive_like_finds(file_id, manual):
    assert is_manual_script(ProductFile(file_id, "script", 1)) is manual
    assert not is_manual_script(ProductFile(file_id, "calibration", 1))


def test_what_a_restore_reads_is_told_by_class_and_name():
    assert is_manifest(ProductFile("member.x.hifa_cal.pipeline_manifest.xml", "script", 1))
    assert not is_manifest(ProductFile("member.x.hifa_cal.pipeline_manifest.xml", "science", 1))
    assert is_caltables(ProductFile("member.x.s2.caltables.tgz", "calibration", 1))
    assert not is_caltables(ProductFile("member.x.session_2.auxcaltables.tgz", "calibration", 1))
