"""Every failure of the real ALMA pipeline is told as what it is, where one is named to the tests (docs/casa.md)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from damages import DAMAGES, FLAGS, IN_SECOND
from small_mous import MOUS, SECOND, THIRD, restore

from alma_restore.casa import installations
from alma_restore.casa.installations import Installation
from alma_restore.errors import CasaFailed, Corrupt, Inconsistent, Misconfigured, RestoreError
from alma_restore.ppr import read
from alma_restore.restore import parts
from alma_restore.settings import CasaSettings, Settings
from alma_restore.workspace import Workspace

VARIABLE = "ALMA_RESTORE_PIPELINE_CASA"

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
        restore(pipeline, workspace, CasaSettings(poll_s=0.2, time_limit_s=1500, no_progress_s=900))
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
