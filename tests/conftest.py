"""What every test may ask for."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
CASA_SIDE = CHECKOUT / "include" / "casa_side"

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
def demo_archive(restore_home: Path, casa_python: Path) -> Path:
    """The demo's embedded archive, made by real CASA once and kept for the next session of tests.

    Tests read it; a test that writes works on a copy.
    """
    from alma_restore.casa.casa_home import casa_home
    from alma_restore.demo.archive import make_archive

    archive = restore_home / "test-archive"
    environment = casa_home(restore_home / "test-casa-home", casa_python)
    make_archive(archive, casa_python, environment, cores=2, now=datetime.now(timezone.utc), progress=print)
    return archive
