"""What tasks import is there before they are forked, in the processes that fork them and in no other."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

DAGS = Path(__file__).parents[2] / "dags"

TELL = """
import runpy, sys
import airflow.settings
airflow.settings.initialize()
before = set(sys.modules)
from alma_restore.settings import settings
assert settings.cache_info().currsize == 0, "settings are read by each task, not by what it is forked from"
runpy.run_path(sys.argv[-1])
import alma_restore.restore.calibrating, alma_restore.restore.closing
from alma_restore.catalogue.store import Catalogue
Catalogue.opened("sqlite:///" + sys.argv[-2]).find(limit=1)
print(*sorted(set(sys.modules) - before))
"""


def test_airflow_is_told_to_preload() -> None:
    (found,) = entry_points(group="airflow.policy", name="alma_restore_preload")
    assert found.value == "alma_restore.orchestration.preload"


@pytest.mark.parametrize(("command", "preloads"), [("scheduler", True), ("api-server", False)])
def test_a_task_imports_next_to_nothing_where_tasks_are_forked(command: str, preloads: bool, tmp_path: Path) -> None:
    """Only the module that reads the settings as it is imported."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "ALMA_RESTORE_HOME": str(tmp_path)}
    arguments = [command, str(tmp_path / "catalogue.db"), str(DAGS / "restore_mous.py")]
    told = subprocess.run(
        [sys.executable, "-c", TELL, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    imported = told.stdout.splitlines()[-1].split()
    assert (imported == ["alma_restore.orchestration.restore_tasks"]) == preloads, imported


def test_a_scheduler_starts_with_settings_that_cannot_be_used(tmp_path: Path) -> None:
    """Each task says what is wrong with them."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "ALMA_RESTORE_RESTORES_AT_ONCE": "many"}
    program = "import airflow.settings; airflow.settings.initialize()"
    subprocess.run([sys.executable, "-c", program, "scheduler"], env=environment, check=True)
