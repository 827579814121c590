"""The command line against the live Airflow: real log-ins, real runs, the demo archive's MOUSs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from alma_restore.client.backfill import start_backfill
from alma_restore.client.rest import AirflowRest, Credentials
from alma_restore.demo.archive import DEMO_MOUSS

COMMANDS = Path(sys.executable).parent
MOUS = next(str(each.uid) for each in DEMO_MOUSS if each.restorable)


@pytest.fixture
def command(live, tmp_path):
    """Runs a command as one of Airflow's users: beside its Airflow, or from afar."""
    beside = {
        name: value
        for name, value in live.airflow.environment.items()
        if name.startswith(("AIRFLOW_CONN_", "ALMA_RESTORE_"))
    }

    def command(*words: str, user: str = "requester", exit_code: int = 0, afar: bool = False) -> str:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALMA_RESTORE_"))}
        environment = {
            **own,
            **({"ALMA_RESTORE_HOME": str(tmp_path)} if afar else beside),
            "ALMA_RESTORE_AIRFLOW_URL": live.url,
            "ALMA_RESTORE_AIRFLOW_USER": user,
            "ALMA_RESTORE_AIRFLOW_PASSWORD": live.passwords.get(user, "wrong"),
        }
        done = subprocess.run(
            [COMMANDS / words[0], *words[1:]], env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == exit_code, done.stdout + done.stderr
        return done.stdout or done.stderr

    return command


def test_who_is_unknown_or_may_not_is_told_so(command):
    assert "Invalid credentials" in command("alma-restore", "request", MOUS, user="nobody", exit_code=1)
    assert "403: Forbidden" in command("alma-restore", "request", MOUS, user="viewer", exit_code=1)
    assert "There is no restore" in command("alma-restore", "status", "nix", afar=True, user="viewer", exit_code=1)


def test_a_restore_is_started_cancelled_run_again_and_followed_to_its_end(command, live):
    first, second = command("almaRestore", "-E", "ada@example.org", MOUS).splitlines()
    assert first == f"Restoring a CMS of {MOUS} to spool."
    number, _, workspace = second.removeprefix("Alma Restore (").partition(") running in: ")
    assert Path(workspace).is_dir()
    command("alma-restore", "cancel", number)
    (record,) = live.catalogue.numbered(int(number))
    assert record.state == "cancelled"
    told = json.loads(command("alma-restore", "retry", number, "--wait", "--json"))
    assert (told["state"], told["told_by"]) == ("delivered", "catalogue")
    assert Path(told["delivered_to"]).is_dir()
    seen_from_afar = json.loads(command("alma-restore", "status", record.correlation_id, "--wait", "--json", afar=True))
    assert (seen_from_afar["state"], seen_from_afar["told_by"]) == ("delivered", "airflow")
    assert {name: seen_from_afar[name] for name in ("number", "delivered_to", "mous_uid")} == {
        "number": int(number),
        "delivered_to": told["delivered_to"],
        "mous_uid": MOUS,
    }
    newest = json.loads(command("alma-restore", "list", "--uid", MOUS, "--limit", "1", "--json"))
    assert [each["number"] for each in newest] == [int(number)]


def test_the_doctor_finds_only_that_detection_is_paused_here(command):
    findings = json.loads(command("alma-restore", "doctor", "--json", exit_code=1))
    wrong = [finding["sentence"] for finding in findings if finding["verdict"] == "wrong"]
    assert wrong == ["The DAG detect_calibrations is paused."]
    assert [finding["name"] for finding in findings if finding["verdict"] == "not checked"] == ["events"]


def test_airflow_makes_of_a_backfill_the_days_that_were_meant(live):
    class DryRest(AirflowRest):
        def create_backfill(self, body):
            return self._call("POST", "backfills/dry_run", json={"dag_id": "detect_calibrations", **body}).json()

    rest = DryRest(live.url, Credentials(token=live.token("admin")))
    start = datetime(2018, 9, 1, tzinfo=timezone.utc)
    # The demo's detection runs every minute; making the backfill is left out, as Airflow's SQLite is often too busy.
    planned = start_backfill(rest, start, start + timedelta(minutes=3), newest_first=True)
    minutes = [run["logical_date"] for run in planned["backfills"]]
    assert minutes == [f"2018-09-01T00:0{minute}:00Z" for minute in (2, 1, 0)]
