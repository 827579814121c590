"""Jobs on this machine, with tiny commands in CASA's place."""

from __future__ import annotations

import os
import re
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from alma_restore.casa import launchers, outcome
from alma_restore.casa.launchers.base import Handle, Job, JobState, Places
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.errors import CasaFailed, Misconfigured
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

Submit = Callable[..., Handle]


@pytest.fixture
def launcher() -> LocalLauncher:
    return LocalLauncher()


@pytest.fixture
def submit(launcher: LocalLauncher, tmp_path: Path) -> Iterator[Submit]:
    """Start a job; what is left of it is stopped after the test."""
    started: list[Handle] = []

    def start(*argv: str, folder: str = "job", **facts: object) -> Handle:
        job = Job("test", argv, {"PATH": os.environ["PATH"]}, cwd=tmp_path, folder=tmp_path / folder, **facts)
        started.append(launcher.submit(job))
        return started[-1]

    yield start
    for handle in started:
        launcher.cancel(handle)


def ended(launcher: LocalLauncher, handle: Handle, within_s: float = 10.0) -> JobState:
    deadline = time.monotonic() + within_s
    while (state := launcher.poll(handle)).phase != "ended":
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    return state


def wait_for(file: Path, within_s: float = 10.0) -> str:
    deadline = time.monotonic() + within_s
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, f"{file.name} never came"
        time.sleep(0.02)
    return file.read_text()


def test_a_job_leaves_its_output_and_its_exit_code(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit("sh", "-c", "echo out; echo err >&2; exit 3")
    assert ended(launcher, handle) == JobState("ended", 3)
    assert Path(handle.folder, "log").read_text() == "out\nerr\n"
    assert Path(handle.folder, "rc").read_text() == "3\n"


def test_arguments_reach_the_command_as_they_are(launcher: LocalLauncher, submit: Submit, tmp_path: Path) -> None:
    arguments = ["two words", "$(touch hacked)", "'; touch hacked;'", "*", "", "-n"]
    handle = submit(sys.executable, "-c", "import sys; print(sys.argv[1:])", *arguments)
    ended(launcher, handle)
    assert Path(handle.folder, "log").read_text() == f"{arguments}\n"
    assert not (tmp_path / "hacked").exists()


def test_a_job_gets_its_own_environment_and_nothing_of_ours(
    launcher: LocalLauncher, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", "oracle://user:secret@host")
    handle = submit("env")
    ended(launcher, handle)
    names = {line.partition("=")[0] for line in Path(handle.folder, "log").read_text().splitlines()}
    assert names <= {"PATH", "PWD", "ALMA_RESTORE_JOB", "_", "SHLVL", "OLDPWD", "LC_CTYPE"}


def test_a_command_that_is_not_there_ends_with_127(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit("no-such-casa")
    assert ended(launcher, handle).exit_code == 127
    assert "no-such-casa" in Path(handle.folder, "log").read_text()


def test_a_folder_that_is_not_there_is_misconfigured(launcher: LocalLauncher, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be started"):
        launcher.submit(Job("test", ("true",), {}, cwd=tmp_path / "gone", folder=tmp_path / "job"))


def test_a_job_runs_at_the_niceness_asked_for(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit("nice", niceness=7)
    ended(launcher, handle)
    assert Path(handle.folder, "log").read_text().strip() == "7"


def test_a_killed_job_has_ended_without_an_exit_code(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit("sleep", "60")
    assert launcher.poll(handle) == JobState("running")
    psutil.Process(int(handle.job_id)).kill()
    state = ended(launcher, handle)
    assert state.exit_code is None
    assert "killed" in state.note


def test_another_process_with_the_same_id_is_not_taken_for_the_job(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit("sleep", "60")
    reused = replace(handle, facts={**handle.facts, "ticks": handle.facts["ticks"] - 1})
    rebooted = replace(handle, facts={**handle.facts, "boot": "another"})
    assert launcher.poll(handle).phase == "running"
    assert launcher.poll(reused).phase == launcher.poll(rebooted).phase == "ended"


DEEP_TREE = textwrap.dedent(
    """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE)
    child.stdout.readline()
    orphan = subprocess.run(["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True)
    time.sleep(0.2)
    Path("pids").write_text(f"{os.getpid()} {child.pid} {orphan.stdout}")
    time.sleep(60)
    """
)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped by SIGSTOP"])
def test_cancelling_leaves_no_process(launcher: LocalLauncher, submit: Submit, tmp_path: Path, stopped: bool) -> None:
    handle = submit(sys.executable, "-c", DEEP_TREE)
    members = [psutil.Process(int(pid)) for pid in [*wait_for(tmp_path / "pids").split(), handle.job_id]]
    if stopped:
        for member in members:
            member.suspend()
    launcher.cancel(handle)
    assert [member for member in members if member.is_running() and member.status() != psutil.STATUS_ZOMBIE] == []
    assert launcher.poll(handle).phase == "ended"


def test_cancelling_one_job_leaves_another_alone(launcher: LocalLauncher, submit: Submit) -> None:
    one, other = submit("sleep", "60"), submit("sleep", "60", folder="other")
    launcher.cancel(one)
    assert launcher.poll(other).phase == "running"


def test_cancelling_an_ended_job_keeps_its_exit_code(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit("sh", "-c", "exit 5")
    ended(launcher, handle)
    launcher.cancel(handle)
    assert launcher.poll(handle) == JobState("ended", 5)


TAKE = "import sys, time; taken = bytearray(int(sys.argv[1])); time.sleep(60)"


def test_a_job_that_takes_more_memory_than_its_limit_is_stopped_and_told(
    launcher: LocalLauncher, submit: Submit, tmp_path: Path
) -> None:
    """The limit is for all processes together: neither of the two is beyond it."""
    two = f"{sys.executable} -c '{TAKE}' 100000000 & {sys.executable} -c '{TAKE}' 100000000; echo complained"
    handle = submit("sh", "-c", two, memory_bytes=150_000_000)
    state = ended(launcher, handle, within_s=60)
    assert re.fullmatch(r"it used 0\.\d\d GB of memory, its limit is 0\.15 GB", state.note)
    assert Path(handle.folder, "log").read_text() == ""
    with pytest.raises(CasaFailed, match=r"0\.15 GB\. Raise casa\.memory_bytes"):
        outcome.judge(Workspace(tmp_path), state)


def test_a_job_within_its_limit_ends_and_tells_its_peak(launcher: LocalLauncher, submit: Submit) -> None:
    handle = submit(sys.executable, "-c", TAKE.replace("60", "5"), "100000000", memory_bytes=200_000_000)
    assert ended(launcher, handle, within_s=60).exit_code == 0
    assert 100_000_000 < int(Path(handle.folder, "peak_memory_bytes").read_text()) < 200_000_000


def test_launchers_are_found_by_name() -> None:
    assert isinstance(launchers.get("local", CasaSettings()), LocalLauncher)
    with pytest.raises(Misconfigured, match="local"):
        launchers.get("moon", CasaSettings())


def test_jobs_wait_for_a_place_on_their_machine_in_which_they_can_be_cancelled(
    launcher: LocalLauncher, submit: Submit, tmp_path: Path
) -> None:
    places = Places(tmp_path / "places", 1)
    first = submit("sleep", "60", folder="first", places=places)
    while launcher.poll(first).phase != "running":
        time.sleep(0.02)
    second = submit("touch", "second-began", folder="second", places=places)
    third = submit("echo", "third", folder="third", places=places)
    for waiting in (second, third):
        assert launcher.poll(waiting) == JobState(
            "waiting", note=f"CASA waits for one of 1 places on {socket.gethostname()}"
        )
    launcher.cancel(second)
    launcher.cancel(first)
    assert ended(launcher, third) == JobState("ended", 0)
    assert launcher.poll(second) == JobState("ended", note="it was cancelled")
    assert not (tmp_path / "second-began").exists()


def test_the_place_of_a_keeper_that_is_killed_is_free_again(
    launcher: LocalLauncher, submit: Submit, tmp_path: Path
) -> None:
    places = Places(tmp_path / "places", 1)
    first = submit("sleep", "60", folder="first", places=places)
    while launcher.poll(first).phase != "running":
        time.sleep(0.02)
    psutil.Process(int(first.job_id)).kill()
    assert ended(launcher, submit("true", folder="second", places=places)) == JobState("ended", 0)
