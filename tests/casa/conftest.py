"""What the tests of the CASA room share."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_mous import make_workspace, restore

from alma_restore.casa.casa_home import CASA_SIDE, casa_home
from alma_restore.casa.installations import Installation
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace


@pytest.fixture
def workspace(demo_archive: Path, tmp_path: Path) -> Workspace:
    """A workspace of one's own, in which CASA has not run."""
    return make_workspace(demo_archive, tmp_path / "spool")


@pytest.fixture(scope="session")
def restored(demo_archive: Path, installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which real CASA has restored all three execution blocks. Read it; write into a copy."""
    workspace = make_workspace(demo_archive, tmp_path_factory.mktemp("restored") / "spool")
    restore(installation, workspace, CasaSettings(cores=2, poll_s=0.1))
    return workspace


@pytest.fixture(scope="session")
def installation(casa_python: Path) -> Installation:
    return Installation(name="test", engine="casatasks", casa_version="6.7.0", python=casa_python)


@pytest.fixture
def casa() -> CasaSettings:
    return CasaSettings(cores=2, poll_s=0.05, time_limit_s=120, no_progress_s=60)


@pytest.fixture
def fake_installation(tmp_path: Path) -> Callable[[str], Installation]:
    """A CASA that runs a shell script in working/ in place of a restore."""

    def make(script: str, name: str = "fake") -> Installation:
        return Installation(
            name=name,
            engine="casatasks",
            casa_version="6.7.0",
            command=("sh", "-c", script.replace("{", "{{").replace("}", "}}"), "{ppr}"),
        )

    return make


@pytest.fixture(params=[errno.EROFS, errno.ENOSPC], ids=["read-only", "no inode left"])
def break_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """From now on this process can write nothing below a folder, or make no file there."""
    make, open_file = Path.touch, Path.open

    def broken(path: Path, folder: Path) -> bool:
        return folder in path.parents and (request.param == errno.EROFS or not path.exists())

    def break_it(folder: Path) -> None:
        def touch(path: Path, *arguments: Any) -> None:
            if broken(path, folder):
                raise OSError(request.param, os.strerror(request.param), str(path))
            make(path, *arguments)

        def open_path(path: Path, mode: str = "r", *arguments: Any, **more: Any) -> Any:
            if not mode.startswith("r") and broken(path, folder):
                raise OSError(request.param, os.strerror(request.param), str(path))
            return open_file(path, mode, *arguments, **more)

        monkeypatch.setattr(Path, "touch", touch)
        monkeypatch.setattr(Path, "open", open_path)

    return break_it


@pytest.fixture(scope="session")
def run_in_casa(casa_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run a program in CASA's Python and give what it prints."""
    environment = {"PATH": "/usr/bin:/bin", **casa_home(tmp_path_factory.mktemp("home"), casa_python)}

    def run(*arguments: object, cwd: Path) -> str:
        command = [str(casa_python), *map(str, arguments)]
        ended = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run


@pytest.fixture(scope="session")
def casa_side() -> Path:
    """The folder of our programs that run inside CASA's Python."""
    return CASA_SIDE
