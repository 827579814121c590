"""CASA on one of several hosts with the same spool: followed and stopped from another, started anew when one is lost.

Two launchers with host names of their own stand for two hosts; the processes are real, and a host that vanishes is one
whose processes are all stopped.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from alma_restore.casa import attempts, job
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle, JobState
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.errors import NotAvailable
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

EB = "uid___A002_X1_X2"
GOOD = f"mkdir {EB}.ms; touch {EB}.ms/table.dat"
BUSY = """
here=$(pwd -P)
echo begun
while sleep 0.05; do echo orphan >>orphan; echo orphan >>"$here/orphan"; mkdir "$here"; done
"""
"""Writes like CASA, which makes each path absolute when it opens a table."""

Fake = Callable[..., Installation]

ONE, OTHER = LocalLauncher(0.02, host="one"), LocalLauncher(0.02, host="other")
IMPATIENT = LocalLauncher(0.02, silent_s=1.0, host="other")


@pytest.fixture
def casa() -> CasaSettings:
    return CasaSettings(poll_s=0.02, time_limit_s=120, no_progress_s=100)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "spool").create({})
    workspace.ppr.write_text(f"<PPR><AsdmDiskName>{EB}</AsdmDiskName></PPR>")
    yield workspace
    send(processes_of(workspace), signal.SIGKILL)


def processes_of(workspace: Workspace, attempt: int | str = "") -> list[psutil.Process]:
    """What runs of an attempt, its keeper first."""
    found = []
    for process in psutil.process_iter():
        try:
            folder = process.environ().get("ALMA_RESTORE_JOB", "")
            if folder.startswith(f"{workspace.logs}/attempt-{attempt}") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def wait(what: str, seen: Callable[[], object], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not seen():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def vanish(workspace: Workspace, attempt: int) -> list[psutil.Process]:
    """The host of an attempt is gone: nothing of it moves any more."""
    stopped = processes_of(workspace, attempt)
    send(stopped, signal.SIGSTOP)
    return stopped


def come_back(processes: list[psutil.Process]) -> None:
    send(processes, signal.SIGCONT)


def send(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a `sleep` of the script
            process.send_signal(number)


def watch(launcher: LocalLauncher, handle: Handle, workspace: Workspace, casa: CasaSettings) -> list[str]:
    lines: list[str] = []
    job.watch(launcher, handle, workspace, casa, lines.append)
    return lines


def test_a_run_on_another_host_is_found_and_followed_to_its_end(
    workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    installation = fake_installation(f"echo begun; sleep 3; {GOOD}; echo done")
    first = job.start_or_attach(ONE, installation, workspace, casa)
    assert job.start_or_attach(OTHER, installation, workspace, casa) == first
    lines = watch(OTHER, first, workspace, casa)
    assert {"CASA runs on one", "begun", "done"} <= set(lines)
    assert OTHER.poll(first) == JobState("ended", 0)


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "its start never noted"])
def test_a_run_on_another_host_is_stopped_from_here(
    noted: bool, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    handle = job.start_or_attach(ONE, fake_installation("sleep 60 & sleep 60"), workspace, casa)
    known = attempts.latest(workspace)
    assert known is not None
    if not noted:
        attempts.note(workspace, replace(known, handle=Handle("local", "", handle.folder)))
    job.cancel(OTHER, workspace)
    wait("the end of the keeper too", lambda: not processes_of(workspace))
    assert ONE.poll(handle) == OTHER.poll(handle) == JobState("ended", note="it was cancelled")


def test_the_order_to_stop_outlasts_the_silence_of_the_host(
    workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    handle = job.start_or_attach(ONE, fake_installation("sleep 60"), workspace, casa)
    stopped = vanish(workspace, 1)
    time.sleep(1.1)
    with pytest.raises(NotAvailable, match="one, which does not answer"):
        job.cancel(IMPATIENT, workspace)
    assert processes_of(workspace)
    come_back(stopped)
    wait("the end of the run", lambda: not processes_of(workspace))
    job.cancel(IMPATIENT, workspace)
    assert OTHER.poll(handle).note == "it was cancelled"


def test_a_run_that_no_order_reaches_is_not_taken_for_stopped(
    workspace: Workspace, casa: CasaSettings, fake_installation: Fake, break_disk: Callable[[Path], None]
) -> None:
    handle = job.start_or_attach(ONE, fake_installation("sleep 60"), workspace, casa)
    wait("the keeper's first sign", lambda: processes_of(workspace))
    break_disk(workspace.root)
    with pytest.raises(NotAvailable, match="CASA runs on one, and the order to stop it cannot be written"):
        job.cancel(OTHER, workspace)
    assert OTHER.poll(handle).phase == "running"


@pytest.fixture
def lost(
    workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> tuple[Installation, Handle, list[psutil.Process]]:
    """A run whose host has vanished in the middle of it."""
    installation = fake_installation(f"[ -e ../again ] && {{ {GOOD}; sleep 3; exit 0; }}; {BUSY}")
    handle = job.start_or_attach(ONE, installation, workspace, casa)
    wait("the run's own files", lambda: (workspace.working / "orphan").exists())
    return installation, handle, vanish(workspace, 1)


def test_a_run_whose_host_is_lost_is_started_anew_and_its_orphan_harms_nothing(
    lost: tuple[Installation, Handle, list[psutil.Process]], workspace: Workspace, casa: CasaSettings
) -> None:
    installation, first, orphan = lost
    with pytest.raises(NotAvailable, match="one, where it ran, has shown no sign of life"):
        watch(IMPATIENT, first, workspace, casa)
    (workspace.root / "again").touch()
    second = job.start_or_attach(IMPATIENT, installation, workspace, casa)
    come_back([process for process in orphan if process.pid != int(first.job_id)])
    wait("the orphan's own folder", lambda: (workspace.root / "working.1" / "orphan").exists())  # it made that again
    come_back(orphan)  # its keeper too
    watch(IMPATIENT, second, workspace, casa)
    wait("the orphan's end", lambda: not processes_of(workspace, 1))
    assert [path.name for path in workspace.working.iterdir()] == [f"{EB}.ms"]
    assert IMPATIENT.poll(second) == JobState("ended", 0)
    assert not Path(first.folder, "rc").exists()
    assert job.start_or_attach(IMPATIENT, installation, workspace, casa) == second


def test_a_host_that_comes_back_in_time_goes_on(
    lost: tuple[Installation, Handle, list[psutil.Process]], workspace: Workspace, casa: CasaSettings
) -> None:
    installation, first, orphan = lost
    come_back(orphan)
    assert job.start_or_attach(OTHER, installation, workspace, casa) == first
    job.cancel(OTHER, workspace)


def test_an_orphan_without_a_workspace_ends_itself(
    lost: tuple[Installation, Handle, list[psutil.Process]], workspace: Workspace
) -> None:
    _, _, orphan = lost
    shutil.rmtree(workspace.root)
    come_back(orphan)
    wait("the orphan's end", lambda: not processes_of(workspace))
