"""`./run` from wherever it is called, by whatever name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


def told(command: Path | str, cwd: Path, **variables: str) -> str:
    """The folder that `help` says everything is made in."""
    environment = {name: value for name, value in os.environ.items() if name != "ALMA_RESTORE_HOME"}
    done = subprocess.run(
        [command, "help"], cwd=cwd, env=environment | variables, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].strip()


@pytest.mark.parametrize("through", ["its path", "a link"])
def test_it_works_in_its_own_checkout(tmp_path: Path, through: str) -> None:
    link = tmp_path / "restore"
    link.symlink_to(CHECKOUT / "run")
    assert told(CHECKOUT / "run" if through == "its path" else link, tmp_path) == str(CHECKOUT / "var")


def test_a_home_is_meant_as_its_caller_sees_it(tmp_path: Path) -> None:
    assert told(CHECKOUT / "run", tmp_path, ALMA_RESTORE_HOME="my home") == str(tmp_path / "my home")
