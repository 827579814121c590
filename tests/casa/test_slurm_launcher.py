"""Jobs on a real Slurm, with tiny commands in CASA's place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from alma_restore.casa.launchers import slurm as slurm_module
from alma_restore.casa.launchers.base import Handle, Job, JobState
from alma_restore.casa.launchers.slurm import SlurmLauncher
from alma_restore.errors import Misconfigured, NotAvailable, RestoreError
from alma_restore.settings import SlurmSettings
from slurm_cluster import SlurmCluster

Submit = Callable[..., Handle]


@pytest.fixture
def launcher(slurm: SlurmCluster) -> SlurmLauncher:
    return SlurmLauncher(SlurmSettings(poll_s=0.1))


@pytest.fixture
def submit(launcher: SlurmLauncher, tmp_path: Path) -> Iterator[Submit]:
    """Submit a job that runs in a folder of its own; what is left of it is stopped after the test."""
    submitted: list[Handle] = []

    def start(*argv: str, folder: str = "job", of: SlurmLauncher = launcher, **facts: object) -> Handle:
        cwd = tmp_path / f"{folder}-cwd"
        cwd.mkdir()
        job = Job("test", argv, {"PATH": os.environ["PATH"]}, cwd=cwd, folder=tmp_path / folder, **facts)
        submitted.append(of.submit(job))
        return submitted[-1]

    yield start
    for handle in submitted:
        launcher.cancel(handle)


def until(launcher: SlurmLauncher, handle: Handle, phase: str, within_s: float = 20.0) -> JobState:
    deadline = time.monotonic() + within_s
    while (state := launcher.poll(handle)).phase != phase:
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
    return state


def begun(handle: Handle, word: str = "begun", within_s: float = 20.0) -> None:
    """Wait for a word in the job's log."""
    log, deadline = Path(handle.folder, "log"), time.monotonic() + within_s
    while not log.exists() or word not in log.read_text():
        assert time.monotonic() < deadline, f"{word!r} never came"
        time.sleep(0.1)


def state_of(slurm: SlurmCluster, handle: Handle) -> str:
    """What the queue says of a job, not what we make of it."""
    return slurm.say("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={handle.job_id}")


def start_again(slurm: SlurmCluster, handle: Handle) -> None:
    """Begin a requeued job at once; Slurm itself waits two minutes, for the first start to be gone."""
    slurm.wait_until(lambda: state_of(slurm, handle) == "PENDING")
    slurm.wait_until(lambda: not processes(handle.folder) and not processes(f"slurmstepd: [{handle.job_id}.batch]"))
    time.sleep(2)  # the node takes a start of the same second for the one that it has just ended, and refuses it
    slurm.say("scontrol", "update", f"JobId={handle.job_id}", "StartTime=now")


def processes(marker: str) -> list[psutil.Process]:
    """The processes with these words on their command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if marker in " ".join(process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_a_job_leaves_its_output_and_its_exit_code(launcher: SlurmLauncher, submit: Submit) -> None:
    handle = submit("sh", "-c", "echo out; echo err >&2; exit 3")
    assert until(launcher, handle, "ended") == JobState("ended", 3)
    assert Path(handle.folder, "log").read_text() == "out\nerr\n"
    assert Path(handle.folder, "rc").read_text() == "3\n"


def test_arguments_and_environment_reach_the_command_as_they_are_and_nothing_else_does(
    launcher: SlurmLauncher, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", "oracle://user:secret@host")
    arguments = ["two words", "$(touch hacked)", "'; touch hacked;'", "*", "", "-n", "--wrap=true"]
    handle = submit(sys.executable, "-c", "import os, sys; print(sys.argv[1:]); print(*os.environ)", *arguments)
    until(launcher, handle, "ended")
    shown, names = Path(handle.folder, "log").read_text().splitlines()
    assert shown == str(arguments)
    assert set(names.split()) <= {"PATH", "LC_CTYPE"}
    assert not list(tmp_path.rglob("hacked"))
    assert "secret" not in launcher._commands.run("scontrol", "show", "job", handle.job_id).stdout


def test_a_job_waits_runs_and_ends(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit, tmp_path: Path
) -> None:
    holding = SlurmLauncher(SlurmSettings(options=("--hold",)))
    wanted = {"cores": 2, "memory_bytes": 10**6, "niceness": 7, "time_limit_s": 100}
    handle = submit("sh", "-c", "nice; pwd; echo begun; until [ -e ../go ]; do sleep 0.1; done", of=holding, **wanted)
    job, shown = f"Slurm's job {handle.job_id}", slurm.say("scontrol", "show", "job", handle.job_id)
    assert all(words in shown for words in ("TimeLimit=00:02:00", "CPUs/Task=2", "MinMemoryNode=1M"))
    assert launcher.poll(handle) == JobState("waiting", note=f"{job} waits: PENDING (JobHeldUser)")
    slurm.say("scontrol", "release", handle.job_id)
    begun(handle)
    assert launcher.poll(handle) == JobState("running", note=f"{job} runs on node1")
    (tmp_path / "go").touch()
    assert until(launcher, handle, "ended") == JobState("ended", 0)
    assert Path(handle.folder, "log").read_text().split() == ["7", f"{handle.folder}-cwd", "begun"]


def test_a_cancelled_job_leaves_no_process(launcher: SlurmLauncher, submit: Submit) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begun', flush=True); time.sleep(60)"
    handle, other = submit(sys.executable, "-c", stubborn), submit("sleep", "61", folder="other")
    begun(handle)
    launcher.cancel(handle)
    assert launcher.poll(handle) == JobState("ended", note="it was cancelled")
    assert processes(stubborn) == []
    assert until(launcher, other, "running")
    launcher.cancel(other)


def test_cancelling_an_ended_job_keeps_its_exit_code(launcher: SlurmLauncher, submit: Submit) -> None:
    handle = submit("sh", "-c", "exit 5")
    until(launcher, handle, "ended")
    launcher.cancel(handle)
    assert launcher.poll(handle) == JobState("ended", 5)


def test_a_job_is_cancelled_though_its_disk_cannot_be_written_any_more(
    launcher: SlurmLauncher, submit: Submit, break_disk: Callable[[Path], None]
) -> None:
    handle = submit("sh", "-c", "echo begun; sleep 60")
    begun(handle)
    break_disk(Path(handle.folder))
    launcher.cancel(handle)
    assert until(launcher, handle, "ended").exit_code is None
    assert not processes(handle.folder)


def test_a_job_that_was_cancelled_by_somebody_else_has_ended(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit
) -> None:
    handle = submit("sh", "-c", "echo begun; sleep 60")
    begun(handle)
    slurm.say("scancel", handle.job_id)
    assert until(launcher, handle, "ended") == JobState(
        "ended", note=f"it was cancelled (Slurm's job {handle.job_id}: CANCELLED, node1)"
    )


def test_what_slurm_refuses_is_misconfigured_in_its_own_words(submit: Submit) -> None:
    with pytest.raises(Misconfigured, match="Invalid partition name"):
        submit("true", of=SlurmLauncher(SlurmSettings(partition="nowhere")))
    with pytest.raises(Misconfigured, match="sbatch"):
        submit("true", folder="other", of=SlurmLauncher(SlurmSettings(options=("--no-such-option",))))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("Batch job submission failed: Socket timed out on send/recv operation", NotAvailable),
        (
            "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time"
            " limits)",
            NotAvailable,
        ),
        ("Batch job submission failed: Required partition not available (inactive or drain)", NotAvailable),
        (
            "Slurm temporarily unable to accept job, sleeping and retrying\n"
            "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
            NotAvailable,
        ),
        ("Batch job submission failed: Unable to contact slurm controller (connect failure)", NotAvailable),
        ("Batch job submission failed: Invalid account or account/partition combination specified", Misconfigured),
        ("Batch job submission failed: Requested node configuration is not available", Misconfigured),
        ("Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)", Misconfigured),
    ],
    ids=lambda value: value.rpartition(": ")[2][:40] if isinstance(value, str) else "",
)
def test_what_slurm_cannot_take_now_is_submitted_later(
    said: str, error: type[RestoreError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, script in (("sbatch", f'echo "sbatch: error: {said}" >&2; exit 1'), ("squeue", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    job = Job("restore_x", ("true",), {}, cwd=tmp_path, folder=tmp_path / "job")
    with pytest.raises(error) as caught:
        SlurmLauncher(SlurmSettings()).submit(job)
    assert type(caught.value) is error
    assert said.rpartition(": ")[2] in caught.value.sentence


def test_a_front_end_may_greet_in_latin_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\nprintf 'Nur f\\374r Befugte\\n' >&2\necho 12\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    job = Job("restore_x", ("true",), {}, cwd=tmp_path, folder=tmp_path / "job")
    assert SlurmLauncher(SlurmSettings(ssh_host="front")).submit(job).job_id == "12"


def test_a_machine_without_slurm_is_misconfigured(submit: Submit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Misconfigured, match="sbatch cannot be run"):
        submit("true")


def test_a_job_that_was_taken_though_its_id_got_lost_is_found_and_not_submitted_twice(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As "Socket timed out on send/recv operation" may mean."""
    wrapper = tmp_path / "bin" / "sbatch"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{shutil.which("sbatch")} "$@" >&2\necho "Socket timed out" >&2\nexit 1\n')
    wrapper.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(wrapper.parent), prepend=os.pathsep)
        handle = submit("sh", "-c", "echo run >>runs")
    assert until(launcher, handle, "ended") == JobState("ended", 0)
    assert Path(f"{handle.folder}-cwd", "runs").read_text() == "run\n"
    assert launcher.find(replace(handle, job_id="")) == handle
    assert launcher.find(Handle("slurm", "", str(tmp_path / "never"))) is None


def test_a_requeued_job_begins_anew_in_an_empty_folder_and_an_ended_one_stays_ended(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit, tmp_path: Path
) -> None:
    handle = submit("sh", "-c", "ls; touch left_over; [ -e ../again ] || pause=60; echo begun; sleep $pause 0; exit 4")
    begun(handle)
    (tmp_path / "again").touch()
    slurm.say("scontrol", "requeue", handle.job_id)
    start_again(slurm, handle)
    assert until(launcher, handle, "ended") == JobState("ended", 4)
    assert Path(handle.folder, "log").read_text() == "begun\n"
    assert Path(handle.folder, "log.before-1").read_text().startswith("begun\n")
    slurm.say("scontrol", "requeue", handle.job_id)
    assert launcher.poll(handle) == JobState("ended", 4)
    start_again(slurm, handle)
    slurm.wait_until(lambda: state_of(slurm, handle) == "COMPLETED")
    assert launcher.poll(handle) == JobState("ended", 4)
    assert not Path(handle.folder, "log.before-2").exists()


def test_a_first_start_that_survives_its_node_has_no_say_any_more(tmp_path: Path) -> None:
    """Its node seemed dead to Slurm, which started the job a second time elsewhere."""
    script, job, cwd = Path(slurm_module.__file__).with_name("slurm_job.sh"), tmp_path / "job", tmp_path / "cwd"
    job.mkdir()
    cwd.mkdir()
    command = "echo begun-{1}; until [ -e {0}/{1} ]; do sleep 0.05; done; touch result; exit {1}"
    starts = []
    for count in (0, 1):
        argv = ["sh", str(script), str(job), str(cwd), "0", "sh", "-c", command.format(tmp_path, count + 2)]
        starts.append(subprocess.Popen(argv, env={**os.environ, "SLURM_RESTART_COUNT": str(count)}))
        begun(Handle("slurm", "1", str(job)), f"begun-{count + 2}")
    (tmp_path / "2").touch()
    assert starts[0].wait(10) == 2
    assert not (job / "rc").exists()
    assert not (cwd / "result").exists()
    (tmp_path / "3").touch()
    assert starts[1].wait(10) == 3
    assert (job / "rc").read_text() == "3\n"
    assert (cwd / "result").exists()


def test_a_job_outlives_its_node_unless_it_may_not_be_requeued(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit, tmp_path: Path
) -> None:
    handle = submit("sh", "-c", "[ -e ../again ] || pause=60; echo begun; sleep $pause 0")
    only_once = submit(
        "sh", "-c", "echo begun; sleep 60", folder="once", of=SlurmLauncher(SlurmSettings(options=("--no-requeue",)))
    )
    begun(handle)
    begun(only_once)
    slurm.stop("slurmd", kill=True)
    assert "its node failed" in until(launcher, only_once, "ended").note
    assert "waits: PENDING" in until(launcher, handle, "waiting").note
    (tmp_path / "again").touch()
    slurm.start_node()
    start_again(slurm, handle)
    assert until(launcher, handle, "ended") == JobState("ended", 0)


def test_a_silent_cluster_ends_nothing_and_starts_nothing_late(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit, tmp_path: Path
) -> None:
    handle = submit("sh", "-c", "echo begun; until [ -e ../go ]; do sleep 0.1; done; exit 6")
    held = submit("touch", "../ran", folder="held", of=SlurmLauncher(SlurmSettings(options=("--hold",))))
    begun(handle)
    slurm.stop("slurmctld")
    assert launcher.poll(handle).phase == "unknown"
    with pytest.raises(NotAvailable):
        submit("true", folder="other")
    with pytest.raises(NotAvailable):
        launcher.cancel(held)
    (tmp_path / "go").touch()
    assert until(launcher, handle, "ended") == JobState("ended", 6)
    slurm.start_controller()
    slurm.say("scontrol", "release", held.job_id)
    slurm.wait_until(lambda: state_of(slurm, held) == "FAILED")
    assert not (tmp_path / "ran").exists()


def test_a_job_that_left_the_queue_is_known_by_its_exit_code_alone(
    slurm: SlurmCluster, launcher: SlurmLauncher, submit: Submit
) -> None:
    ended, killed = submit("sh", "-c", "exit 7"), submit("sh", "-c", "echo begun; sleep 60", folder="killed")
    until(launcher, ended, "ended")
    begun(killed)
    slurm.forget_all_jobs()
    assert launcher.poll(ended) == JobState("ended", 7)
    assert launcher.poll(killed).phase == "unknown"
    launcher.cancel(killed)


def test_an_exit_code_that_could_not_be_written_is_told_by_slurm(launcher: SlurmLauncher, submit: Submit) -> None:
    handle = submit("sh", "-c", "mkdir ../job/rc.part ../job/rc.part/full; exit 8")
    assert until(launcher, handle, "ended") == JobState("ended", 8)
    assert not Path(handle.folder, "rc").exists()
