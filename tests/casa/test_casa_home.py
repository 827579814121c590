from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from alma_restore.casa.casa_home import casa_home
from alma_restore.errors import Misconfigured


def test_casa_starts_off_line_in_a_home_of_its_own(casa_python: Path, tmp_path: Path) -> None:
    home = tmp_path / "a home"
    environment = {"PATH": os.defpath, **casa_home(home, casa_python)}
    program = "from casatools import measures; print(measures().epoch('UTC', '2018/09/18')['type'])"
    ended = subprocess.run([casa_python, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "epoch", ended.stderr
    assert environment["HOME"] == str(home)


def test_making_it_again_changes_nothing(casa_python: Path, tmp_path: Path) -> None:
    first = casa_home(tmp_path, casa_python)
    before = (tmp_path / ".casa" / "config.py").read_text()
    assert casa_home(tmp_path, casa_python) == first
    assert (tmp_path / ".casa" / "config.py").read_text() == before


def test_a_python_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nowhere/python cannot be started: No such file"):
        casa_home(tmp_path, Path("/nowhere/python"))


def test_a_python_without_casas_measures_tables_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="has no casadata package"):
        casa_home(tmp_path, Path(sys.executable))
