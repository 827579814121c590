"""What the tests of the report share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "casa"))  # small_mous.py makes the workspace

from verified_restore import Verified, restore_and_verify


@pytest.fixture(scope="session")
def verified(demo_archive: Path, casa_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Verified:
    return restore_and_verify(demo_archive, casa_python, tmp_path_factory.mktemp("report") / "spool")
