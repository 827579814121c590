"""restore_mous with the real ALMA pipeline, where one is named (docs/casa.md): from the archive to the delivery."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from alma_restore.casa import installations
from alma_restore.casa.casa_home import CASA_SIDE, casa_home
from alma_restore.settings import settings
from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X1284/X266")
VARIABLE = "ALMA_RESTORE_PIPELINE_CASA"


@pytest.fixture
def pipeline(home, monkeypatch):
    """The first installation with the pipeline, of the file that the variable names."""
    if not (file := os.environ.get(VARIABLE)):
        pytest.skip(f"{VARIABLE} names no file of CASA installations with the ALMA pipeline (docs/casa.md).")
    monkeypatch.setenv("ALMA_RESTORE_CASA__INSTALLATIONS", file)
    settings.cache_clear()
    return next(each for each in installations.load(settings()) if each.engine == "pipeline")


@pytest.mark.timeout(1800)
def test_the_pipeline_restores_what_the_archive_holds_and_it_is_delivered(
    pipeline, home, archive, dag_of, catalogue, mails, casa_python, tmp_path
):
    conf = {"email": "astronomer@example.org", "mous_uid": MOUS, "casa_version": pipeline.name}
    dag_run = dag_of("restore_mous").test(run_conf=conf)
    request = catalogue.by_run_id(dag_run.run_id)
    assert (request.state, request.reason, request.casa_installation) == ("delivered", "", pipeline.name)
    (folder,) = [path for path in (home / "deliveries").iterdir() if not path.name.startswith(".")]
    assert (folder / "weblog_of_the_restore" / "index.html").is_file()
    assert f"CASA {pipeline.casa_version}" in (folder / "report.html").read_text()

    program, reference = CASA_SIDE / "compare_with_reference.py", archive / "reference" / MOUS.sanitised
    (made,) = folder.glob("*.ms")
    subprocess.run(
        [casa_python, program, "--reference", reference, "--out", tmp_path / "found.json", made],
        env={"PATH": os.environ["PATH"], **casa_home(tmp_path / "casa-home", casa_python)},
        cwd=tmp_path,
        check=True,
    )
    found = json.loads((tmp_path / "found.json").read_text())
    assert found[made.name]["identical"]
