"""`almaRestore` as NRAO's users know it: its options, and its two lines."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alma_restore.catalogue.store import Catalogue
from alma_restore.cli.alma_restore_command import app
from alma_restore.cli.exits import Exit
from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest

MOUS = "uid://A001/X12d1/X23e"
SPOOL = "/lustre/naasc/web/almapipe/pipeline/naasc-test/spool/uid___A002_Xd248b5_Xa7a_2018_09_21_T14_17_00.434"
CASA = "/home/casa/packages/RHEL6/release/casa-release-5.4.0-68"


@pytest.fixture
def carried_out(airflow, catalogue: Catalogue, surroundings):
    """Carries out the first request that comes: gives it a workspace, or refuses it."""
    records = []

    def work(refusal: Refused | None) -> None:
        while not airflow.runs:
            time.sleep(0.01)
        (run,) = airflow.runs.values()
        record = catalogue.open_request(RestoreRequest.parse(run["conf"]), run["dag_run_id"])
        records.append(record)
        if refusal:
            catalogue.fail(record.id, refusal, "open_request")
        else:
            catalogue.start_stage(record.id, "prepare_workspace")
            catalogue.set_workspace(record.id, SPOOL)

    def start(refusal: Refused | None = None):
        worker = threading.Thread(target=work, args=(refusal,))
        worker.start()
        return records, worker

    return start


def test_it_prints_the_two_lines_and_ends_while_the_restore_goes_on(carried_out, airflow, catalogue):
    records, worker = carried_out()
    result = CliRunner().invoke(app, ["-C", CASA, "-E", "jsheckar@nrao.edu", MOUS])
    worker.join()
    (record,) = records
    assert result.exit_code == Exit.OK
    assert result.stdout == (
        f"Restoring a CMS of {MOUS} to spool.\nAlma Restore ({record.number}) running in: {SPOOL}\n"
    )
    asked = catalogue.get(record.id).asked
    assert (asked.casa_version, asked.email, asked.mous_uid) == (CASA, "jsheckar@nrao.edu", MOUS)
    assert catalogue.numbered(record.number) == (catalogue.get(record.id),)


def test_a_refused_one_ends_with_the_reason(carried_out):
    _, worker = carried_out(Refused("It was calibrated by hand.", code="manual_calibration"))
    result = CliRunner().invoke(app, [MOUS])
    worker.join()
    assert result.exit_code == Exit.FAILED
    assert result.stdout == f"Restoring a CMS of {MOUS} to spool.\n"
    assert result.stderr == "The restore is refused: It was calibrated by hand.\n"


def test_the_profile_says_where_airflow_is(carried_out, airflow, surroundings, tmp_path: Path):
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_URL", "")
    surroundings.setenv("CAPO_PATH", str(tmp_path))
    surroundings.setenv("CAPO_PROFILE", "other")
    (tmp_path / "naasc-test.properties").write_text(f"almaRestore.airflow_url = {airflow.url}\n")
    records, worker = carried_out()
    result = CliRunner().invoke(app, ["-P", "naasc-test", MOUS])
    worker.join()
    assert result.exit_code == Exit.OK
    assert records
    missing = CliRunner().invoke(app, ["-P", "nix", MOUS])
    assert missing.exit_code == Exit.MISCONFIGURED
    assert "no nix.properties" in missing.stderr


@pytest.mark.parametrize("mous", ["X12d1", ""])
def test_a_wrong_uid_asks_for_nothing(surroundings, airflow, mous):
    result = CliRunner().invoke(app, [mous])
    assert result.exit_code == Exit.FAILED
    assert result.stdout == ""
    assert not airflow.runs


def test_both_commands_are_installed_beside_python():
    for name in ("almaRestore", "alma-restore"):
        told = subprocess.run([Path(sys.executable).with_name(name), "--help"], capture_output=True, text=True)
        assert told.returncode == 0
        assert "Usage" in told.stdout
