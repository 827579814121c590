"""The casatasks engine with real CASA: PPR in, the calibration's own MeasurementSets out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from damages import DAMAGES, FLAGS, IN_SECOND
from small_mous import EBS, MOUS, SECOND, THIRD, make_workspace, restore

from alma_restore.archive.asdm_structure import check_asdm
from alma_restore.casa import verification
from alma_restore.casa.installations import Installation
from alma_restore.errors import CasaFailed, Corrupt, Inconsistent, Misconfigured, Refused, RestoreError
from alma_restore.settings import CasaSettings, VerificationSettings
from alma_restore.split import SplitOptions
from alma_restore.workspace import Workspace


def test_every_execution_block_is_restored_bit_for_bit(
    restored: Workspace, demo_archive: Path, run_in_casa: Callable[..., str], casa_side: Path, tmp_path: Path
) -> None:
    reference = demo_archive / "reference" / MOUS.sanitised
    made = [restored.working / f"{uid.sanitised}.ms" for uid in EBS]
    program = casa_side / "compare_with_reference.py"
    run_in_casa(program, "--reference", reference, "--out", tmp_path / "found.json", *made, cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert {name: one["identical"] for name, one in found.items()} == {path.name: True for path in made}
    assert all(one["rows"] == 4180 for one in found.values())


def test_a_restore_leaves_what_the_pipeline_leaves(restored: Workspace) -> None:
    names = {path.name for path in restored.working.iterdir()}
    for uid in EBS:
        assert {f"{uid.sanitised}.ms", f"{uid.sanitised}.ms.flagversions", f"casa-{uid.sanitised}.log"} <= names
        assert (restored.working / f"{uid.sanitised}.ms" / "SpectralWindow.xml").is_file()
    assert not list(restored.root.rglob("errorexit-*.txt"))
    calls = [line.partition("(")[0] for line in (restored.working / "casa_commands.log").read_text().splitlines()[1:]]
    assert calls == ["importasdm", "flagmanager", "applycal", "applycal", "applycal"] * 3


def test_progress_is_told_in_lines_for_people(restored: Workspace) -> None:
    log = (restored.logs / "attempt-1" / "log").read_text()
    for uid in EBS:
        assert f"{uid.sanitised} importasdm " in log
        assert f"{uid.sanitised} 4180 rows" in log
    assert "dUTC" not in log
    assert log.splitlines()[-1].startswith("restored 3 execution blocks in ")


LOOK_AT_SPLIT = """
import sys
import numpy
from casaconfig import config
config.logfile = "/dev/null"
from casatools import table
def read(ms, column):
    one = table()
    one.open(ms)
    selected = one.query("FIELD_ID==2")
    keys = [selected.getcol(name) for name in ("ANTENNA2", "ANTENNA1", "DATA_DESC_ID", "TIME")]
    return selected.getcol(column)[..., numpy.lexsort(keys)]
eb, targets = sys.argv[1] + ".ms", sys.argv[1] + "_targets.ms"
corrected, flag = read(eb, "CORRECTED_DATA"), read(eb, "FLAG")
good = numpy.where(flag, 0, corrected).reshape(corrected.shape[0], -1, 2, corrected.shape[2])
channels = (~flag).reshape(good.shape).sum(axis=2)
averaged = good.sum(axis=2) / numpy.maximum(channels, 1)
data = read(targets, "DATA")
unflagged = ~read(targets, "FLAG")
whole = table()
whole.open(targets)
assert whole.nrows() == data.shape[-1], "only the target"
assert data.shape == averaged.shape, (data.shape, averaged.shape)
assert unflagged.any() and numpy.allclose(data[unflagged], averaged[unflagged], rtol=1e-5), "data"
"""


def test_targets_are_split_off_and_averaged(
    demo_archive: Path,
    installation: Installation,
    casa: CasaSettings,
    run_in_casa: Callable[..., str],
    tmp_path: Path,
) -> None:
    split = SplitOptions(chanbin=2)
    workspace = make_workspace(demo_archive, tmp_path / "spool", split)
    restore(installation, workspace, casa)
    for uid in EBS:
        run_in_casa("-c", LOOK_AT_SPLIT, uid.sanitised, cwd=workspace.working)
    facts = {uid: check_asdm(workspace.rawdata / uid.sanitised) for uid in EBS}
    found = verification.verify(workspace, installation, facts, VerificationSettings(), split).as_json()
    assert [found[uid]["split"]["rows"] for uid in EBS] == [1760] * 3
    assert "mstransform(" in (workspace.working / "casa_commands.log").read_text()


TOLD: dict[str, tuple[type[RestoreError], str]] = {
    "caltables missing": (Corrupt, "session_3.caltables.tgz"),
    "caltables truncated": (Corrupt, "session_1.caltables"),
    "a table not in caltables": (Corrupt, f"{IN_SECOND}.*bcal.tbl, which .* needs, is not in"),
    "a table without its data": (Corrupt, "calibration table .*bcal.tbl is damaged"),
    "flags missing": (Corrupt, FLAGS),
    "flags truncated": (Corrupt, FLAGS),
    "flags without their data": (Corrupt, FLAGS),
    "flags of no Pipeline_Final": (Corrupt, "no flags.Pipeline_Final"),
    "calapply is no list of calls": (Corrupt, "calapply.txt cannot be read"),
    "no manifest": (Corrupt, "no pipeline manifest"),
    "wrong session": (Inconsistent, THIRD.sanitised),
    "session not in manifest": (Inconsistent, "session_3 is not in the manifest"),
    "execution block not in manifest": (Inconsistent, f"{SECOND.sanitised} is not in the manifest"),
    "renormalised": (Refused, "renormalised .* `pipeline` engine"),
    "unknown command": (Refused, "`pipeline` engine"),
    "unknown parameter": (Refused, "no parameter speed"),
    "unknown intent": (Refused, "no intent MOON"),
    "no execution block": (CasaFailed, "lists no execution block"),
    "no command": (CasaFailed, "lists no command"),
    "PPR not well-formed": (CasaFailed, "PPR.xml cannot be read"),
    "wrong RelativePath": (Misconfigured, "RelativePath"),
    "one ASDM absent": (Corrupt, f"{SECOND.sanitised} are not in rawdata"),
    "BDF missing": (Corrupt, f"{SECOND.sanitised} are damaged: scan 2 gave 0 of"),
    "BDF truncated": (Corrupt, "scan 2 gave 0 of .*reading"),
    "bogus intent": (Corrupt, "scan 2 gave 0 of"),
    "table that CASA skips": (Corrupt, "cannot read Annotation.xml"),
    "table that CASA stumbles over": (Corrupt, "cannot read Antenna.xml"),
    "table that aborts CASA": (Corrupt, "SIGABRT.*Polarization.xml"),
    "table that crashes CASA": (Corrupt, f"SIGSEGV.*{SECOND.sanitised}.*damaged"),
}


@pytest.mark.parametrize("what", TOLD)
def test_damaged_input_ends_with_the_right_error_and_its_signs(
    what: str, workspace: Workspace, installation: Installation, casa: CasaSettings
) -> None:
    error, sentence = TOLD[what]
    DAMAGES[what](workspace)
    with pytest.raises(error, match=sentence) as caught:
        restore(installation, workspace, casa)
    assert type(caught.value) is error
    assert "FAILED" in caught.value.log_tail
    for folder in (workspace.working, workspace.products):
        (sign,) = folder.glob("errorexit-*.txt")
        assert sign.stat().st_size == 0


def test_an_existing_measurement_set_is_never_taken_as_it_is(
    workspace: Workspace, run_in_casa: Callable[..., str], casa_side: Path
) -> None:
    (workspace.working / f"{SECOND.sanitised}.ms").mkdir()
    with pytest.raises(AssertionError, match=f"{SECOND.sanitised}.ms of an earlier run is in working/"):
        run_in_casa(casa_side / "restore_mous.py", workspace.ppr, cwd=workspace.working)
