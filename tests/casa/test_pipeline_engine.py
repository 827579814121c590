"""Every failure of the real ALMA pipeline is told as what it is, where one is named to the tests (docs/casa.md)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from damages import DAMAGES, FLAGS, IN_SECOND
from small_mous import MOUS, SECOND, THIRD, make_workspace, restore

from alma_restore.archive.asdm_structure import check_asdm
from alma_restore.casa import installations, verification
from alma_restore.casa.installations import Installation
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.errors import CasaFailed, Corrupt, Inconsistent, Misconfigured, Refused, RestoreError
from alma_restore.ppr import read
from alma_restore.restore import parts
from alma_restore.settings import CasaSettings, Settings, VerificationSettings
from alma_restore.split import SplitOptions
from alma_restore.workspace import Workspace

VARIABLE = "ALMA_RESTORE_PIPELINE_CASA"
ONE_EB = DEMO_MOUSS[1]
CASA = CasaSettings(poll_s=0.2, time_limit_s=1500, no_progress_s=900)

# What damages.py does to a restore, and what is told of it.
TOLD: dict[str, tuple[type[RestoreError], str]] = {
    "caltables missing": (Corrupt, "session_3.caltables.tgz is not where"),
    "caltables truncated": (Corrupt, "product is damaged: EOFError"),
    "a table not in caltables": (Corrupt, f"calibration table {IN_SECOND}.*bcal.tbl is missing"),
    "a table without its data": (Corrupt, "calibration table uid___.*bcal.tbl is missing or incomplete"),
    "flags missing": (Corrupt, f"{FLAGS} is not where"),
    "flags truncated": (Corrupt, "product is damaged: EOFError"),
    "flags without their data": (Corrupt, f"archived flags of {SECOND.sanitised}.ms cannot be restored"),
    "flags of no Pipeline_Final": (Corrupt, f"archived flags of {SECOND.sanitised}.ms cannot be restored"),
    "no manifest": (Corrupt, "found no manifest"),
    "wrong session": (Corrupt, f"{THIRD.sanitised}.*bcal.tbl is missing"),
    "session not in manifest": (Inconsistent, "session of the PPR is not in the pipeline manifest"),
    "execution block not in manifest": (Inconsistent, f"{SECOND.sanitised} is not in the pipeline manifest"),
    "unknown command": (CasaFailed, "task hifa_unheard_of failed"),
    "unknown parameter": (Misconfigured, "does not know the PPR's parameter speed"),
    "no execution block": (CasaFailed, "lists no execution block"),
    "no command": (CasaFailed, "lists no command"),
    "PPR not well-formed": (CasaFailed, "PPR is not well-formed: "),
    "wrong RelativePath": (Misconfigured, "RelativePath is wrong.*elsewhere/working"),
    "one ASDM absent": (Corrupt, f"left out {SECOND.sanitised}"),
    "BDF missing": (Corrupt, "other rows than its archived flags"),
    "BDF truncated": (Corrupt, "other rows than its archived flags"),
    "table that crashes CASA": (Corrupt, "SIGSEGV.* importasdm: the raw data"),
}


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The first installation with the pipeline, of the file that the variable names."""
    if not (file := os.environ.get(VARIABLE)):
        pytest.skip(f"{VARIABLE} names no file of CASA installations with the ALMA pipeline (docs/casa.md).")
    settings = Settings(home=tmp_path_factory.mktemp("home"), casa=CasaSettings(installations=Path(file)))
    return next(each for each in installations.load(settings) if each.engine == "pipeline")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", TOLD)
def test_a_failure_of_the_real_pipeline_is_told_as_what_it_is(
    what: str, workspace: Workspace, pipeline: Installation
) -> None:
    error, sentence = TOLD[what]
    DAMAGES[what](workspace)
    with pytest.raises(error, match=sentence) as caught:
        restore(pipeline, workspace, CASA)
    assert type(caught.value) is error
    assert caught.value.log_tail


@pytest.mark.timeout(1800)
def test_the_real_pipeline_restores_one_execution_block_of_the_last_session_by_itself(
    workspace: Workspace,
    pipeline: Installation,
    demo_archive: Path,
    run_in_casa: Callable[..., str],
    casa_side: Path,
    tmp_path: Path,
) -> None:
    """The sessions before are empty, and the manifest names neither them nor their files."""
    parts.make(workspace, read.read(workspace.ppr))
    restore(pipeline, workspace.part(THIRD), CasaSettings(poll_s=0.2, time_limit_s=1500, no_progress_s=900))
    parts.gather(workspace)
    made = workspace.working / f"{THIRD.sanitised}.ms"
    program, reference = casa_side / "compare_with_reference.py", demo_archive / "reference" / MOUS.sanitised
    run_in_casa(program, "--reference", reference, "--out", tmp_path / "found.json", made, cwd=tmp_path)
    assert json.loads((tmp_path / "found.json").read_text())[made.name]["identical"]


COMPARE = """
import json, sys
from pathlib import Path
from casaconfig import config
config.logfile = "/dev/null"
sys.path.insert(0, sys.argv[1])
import numpy
from ms_snapshot import columns
first, second = (dict(columns(Path(path))) for path in sys.argv[2:])
assert first.keys() == second.keys(), first.keys() ^ second.keys()
assert numpy.abs(first.pop("UVW") - second.pop("UVW")).max() < 1e-9, "metres"
print(len(first["TIME"]), *sorted(name for name in first if first[name].tobytes() != second[name].tobytes()))
"""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("split", "rows"),
    [
        (SplitOptions(), 1760),
        (SplitOptions(intent="PHASE,TARGET", field="DemoTarget", spw="1", chanbin=5, timebin="12.2s"), 330),
    ],
    ids=["the targets", "averaged"],
)
def test_both_engines_split_off_the_same_bit_for_bit(
    split: SplitOptions,
    rows: int,
    demo_archive: Path,
    pipeline: Installation,
    installation: Installation,
    run_in_casa: Callable[..., str],
    casa_side: Path,
    tmp_path: Path,
) -> None:
    """UVW is what the imports of their two CASA versions make of it: the same to a thousand millionth of a metre."""
    (uid,) = [eb.uid for eb in ONE_EB.ebs]
    made = []
    for engine in (pipeline, installation):
        workspace = make_workspace(demo_archive, tmp_path / engine.engine, split, ONE_EB)
        restore(engine, workspace, CASA)
        facts = {uid: check_asdm(workspace.rawdata / uid.sanitised)}
        verification.verify(workspace, installation, facts, VerificationSettings(), split)
        made.append(workspace.working / f"{uid.sanitised}_targets.ms")
    assert run_in_casa("-c", COMPARE, casa_side, *made, cwd=tmp_path).split() == [str(rows)]


@pytest.mark.timeout(1800)
def test_a_field_that_is_not_there_cannot_be_split_off(
    demo_archive: Path, pipeline: Installation, tmp_path: Path
) -> None:
    workspace = make_workspace(demo_archive, tmp_path, SplitOptions(field="Nobody"), ONE_EB)
    with pytest.raises(Refused, match=r'no such data to be split off: .*"Nobody"'):
        restore(pipeline, workspace, CASA)
