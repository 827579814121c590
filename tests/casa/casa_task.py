"""A task in a process of its own, as a worker runs it, so that it can be killed."""

from __future__ import annotations

import subprocess
import sys

from alma_restore.casa.installations import Installation
from alma_restore.workspace import Workspace

_TASK = """
import sys
from pathlib import Path
from alma_restore.casa import job
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

workspace, casa, launcher = Workspace(Path(sys.argv[1])), CasaSettings(cores=2, poll_s=0.05), LocalLauncher()
installation = Installation.model_validate_json(sys.argv[2])
handle = job.start_or_attach(launcher, installation, workspace, casa)
job.watch(launcher, handle, workspace, casa, lambda line: print(line, flush=True))
"""


def start_task(workspace: Workspace, installation: Installation) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _TASK, str(workspace.root), installation.model_dump_json()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def say_until(task: subprocess.Popen[str], word: str) -> None:
    """Wait until the task has printed a word."""
    said = []
    for line in task.stdout or ():
        said.append(line)
        if word in line:
            return
    raise AssertionError(f"The task never said {word!r}, but: {said}")
