"""`./run demo` as a user runs it: live Airflow, the schedule, real CASA; in a path with blanks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import psutil
import pytest

from alma_restore.demo.archive import DEMO_MOUSS

RESTORABLE = {mous.uid for mous in DEMO_MOUSS if mous.restorable}


@pytest.fixture
def demo(demo_archive, casa_python, tmp_path):
    """Run the demo in a fresh home that has the archive already; what it printed and its result."""
    home = tmp_path / "a home with blanks"
    shutil.copytree(demo_archive, home / "demo" / "archive")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ALMA_RESTORE"))}
    environment = {**clean, "ALMA_RESTORE_HOME": str(home), "ALMA_RESTORE_CASA_PYTHON": str(casa_python)}
    argv = [sys.executable, "-m", "alma_restore.demo.main", "--json", str(tmp_path / "result.json")]

    def run(*options):
        done = subprocess.run([*argv, *options], env=environment, capture_output=True, text=True, cwd=tmp_path)
        left = [process for process in psutil.process_iter(["cmdline"]) if str(home) in " ".join(_words(process))]
        assert left == [], "the demo left processes"
        return done, json.loads((tmp_path / "result.json").read_text())

    return run


def _words(process):
    """What a process was started with and in; Airflow renames its processes, their environment stays."""
    try:
        return [*process.info["cmdline"], *process.environ().values()]
    except (psutil.NoSuchProcess, psutil.AccessDenied, TypeError):
        return []


@pytest.mark.timeout(600)
def test_the_demo_restores_what_can_be_restored_bit_for_bit_and_says_why_the_rest_cannot(demo, demo_archive):
    done, result = demo()
    assert done.returncode == 0, done.stdout + done.stderr
    decisions = {each["uid"]: each["decision"] for each in result["mous"]}
    assert decisions == {mous.uid: "restore" if mous.restorable else "refused" for mous in DEMO_MOUSS}
    for each in result["mous"]:
        if each["uid"] in RESTORABLE:
            assert each["state"] == "delivered"
            assert each["ebs"]
            assert all(block["identical"] is True and block["rows"] > 0 for block in each["ebs"])
        else:
            assert each["reason"]
            assert each["delivered"] is None
    assert sorted(mail["to"] for mail in result["mails"]) == ["astronomer@example.org"] * len(RESTORABLE)
    assert "Traceback" not in done.stdout + done.stderr
