"""What every test may ask for."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["slurm_cluster"]

CHECKOUT = Path(__file__).parents[1]
CASA_SIDE = CHECKOUT / "include" / "casa_side"

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("alma-restore", deadline=None, print_blob=True)
hypothesis.settings.load_profile("alma-restore")

# Airflow reads its settings when it is first imported; no test may meet a user's own.
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="alma-restore-airflow-"))
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
    del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(AIRFLOW_HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(CHECKOUT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(AIRFLOW_HOME / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{AIRFLOW_HOME}/airflow.db",
)

sys.path.insert(0, str(CASA_SIDE))  # its modules import each other by plain name, as inside CASA's Python


@pytest.fixture(scope="session")
def restore_home() -> Path:
    """The folder for everything made at run time."""
    return Path(os.environ.get("ALMA_RESTORE_HOME") or CHECKOUT / "var").absolute()


@pytest.fixture(scope="session")
def casa_python(restore_home: Path) -> Path:
    """The Python that has CASA's packages; `./run test` installs it."""
    python = Path(os.environ.get("ALMA_RESTORE_CASA_PYTHON") or restore_home / "env" / "casa" / "bin" / "python")
    if not python.exists():
        pytest.fail(f"No CASA at {python}: run `./run setup`, or set ALMA_RESTORE_CASA_PYTHON.")
    return python


@pytest.fixture(scope="session")
def casa_environment(restore_home: Path, casa_python: Path) -> dict[str, str]:
    """What to add to the environment of CASA's Python."""
    from alma_restore.casa.casa_home import casa_home

    return casa_home(restore_home / "test-casa-home", casa_python)


@pytest.fixture(scope="session")
def demo_archive(restore_home: Path, casa_python: Path, casa_environment: dict[str, str]) -> Path:
    """The demo's embedded archive, made by real CASA once and kept for the next session of tests.

    Tests read it; a test that writes works on a copy.
    """
    from alma_restore.demo.archive import make_archive

    archive = restore_home / "test-archive"
    make_archive(archive, casa_python, casa_environment, cores=2, now=datetime.now(timezone.utc), progress=print)
    return archive


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one folder share its servers, so they run in one process, one folder after another.

    The browser's come last: Playwright keeps an event loop running in its thread until the session ends.
    """
    items.sort(key=lambda item: "browser" in item.path.parts)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(CHECKOUT / "tests").parts[0]))
