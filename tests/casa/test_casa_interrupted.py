"""Real CASA and the ways a run is interrupted: it runs once and well, or its end is clear; nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from casa_task import say_until, start_task
from small_mous import restore

from alma_restore.casa import job, outcome
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.errors import CasaFailed
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace


def processes_of(workspace: Workspace) -> list[psutil.Process]:
    """Every process that works in this workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(workspace.root)
        except (psutil.Error, OSError):
            continue
        if inside and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def logs(workspace: Workspace) -> list[str]:
    return [path.read_text() for path in sorted(workspace.logs.glob("attempt-*/log"))]


def test_casa_runs_once_though_its_task_is_killed(
    workspace: Workspace, installation: Installation, casa: CasaSettings
) -> None:
    with start_task(workspace, installation) as task:
        say_until(task, "importasdm")
        os.killpg(task.pid, signal.SIGKILL)
    restore(installation, workspace, casa)
    (log,) = logs(workspace)
    assert log.count("at most 2 at once") == 1
    assert not processes_of(workspace)


def test_a_frozen_casa_is_stopped_and_the_next_run_is_right(
    workspace: Workspace, installation: Installation, casa: CasaSettings
) -> None:
    impatient = casa.model_copy(update={"no_progress_s": 2.0})
    handle = job.start_or_attach(LocalLauncher(), installation, workspace, impatient)
    while not any("start of CASA" in log for log in logs(workspace)):
        time.sleep(0.05)
    for process in processes_of(workspace):
        process.suspend()
    with pytest.raises(CasaFailed, match="wrote nothing"):
        job.watch(LocalLauncher(), handle, workspace, impatient, print)
    assert not processes_of(workspace)
    restore(installation, workspace, casa)
    assert len(logs(workspace)) == 2


def can_mount() -> bool:
    probe = ["unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small disk")
@pytest.mark.parametrize(("size", "step"), [("200k", "unpacked"), ("8m", "importasdm"), ("12m", "applycal")])
def test_a_full_disk_is_named_and_not_taken_for_damaged_data(
    size: str, step: str, workspace: Workspace, installation: Installation, casa: CasaSettings
) -> None:
    on_small_disk = f'mount -t tmpfs -o size={size} none . && cd "$PWD" && exec "$@"'
    command = ("unshare", "--map-root-user", "--mount", "sh", "-c", on_small_disk, "sh", *installation.command)
    small = installation.model_copy(update={"command": command})
    with pytest.raises(CasaFailed, match=rf"{step}.*No space left on device"):
        restore(small, workspace, casa.model_copy(update={"cores": 1}))


def test_a_killed_casa_is_reported_with_its_execution_block(
    workspace: Workspace, installation: Installation, casa: CasaSettings
) -> None:
    launcher = LocalLauncher()
    handle = job.start_or_attach(launcher, installation, workspace, casa)
    killed = False

    def kill_one(line: str) -> None:
        nonlocal killed
        if "start of CASA" in line and not killed:
            killed = True
            (victim,) = [p for p in processes_of(workspace) if line.split()[2] in " ".join(open_logs(p))]
            victim.kill()

    state = job.watch(launcher, handle, workspace, casa, kill_one)
    with pytest.raises(CasaFailed, match=r"CASA was killed in importasdm of uid___.*memory"):
        outcome.judge(workspace, state)


def open_logs(process: psutil.Process) -> list[str]:
    return [file.path for file in process.open_files()]
