"""One CASA run a restore on a real Slurm, whatever happens to the task that asked for it; and a real restore."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_mous import EBS, MOUS

from alma_restore.casa import attempts, job, launchers, outcome
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle, Job
from alma_restore.casa.launchers.command_line import CommandLine
from alma_restore.casa.launchers.slurm import SlurmLauncher
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.settings import CasaSettings, SlurmSettings
from alma_restore.workspace import Workspace
from slurm_cluster import SlurmCluster, free_port, wait_until

EB = "uid___A002_X1_X2"
GOOD = f"echo run >>../runs; mkdir {EB}.ms; touch {EB}.ms/table.dat"

Fake = Callable[..., Installation]


@pytest.fixture
def launcher(slurm: SlurmCluster) -> SlurmLauncher:
    return SlurmLauncher(SlurmSettings(poll_s=0.1))


@pytest.fixture
def toy(tmp_path: Path, launcher: SlurmLauncher) -> Iterator[Workspace]:
    """A workspace with next to nothing in it."""
    workspace = Workspace(tmp_path / "toy").create({})
    workspace.ppr.write_text(f"<PPR><AsdmDiskName>{EB}</AsdmDiskName></PPR>")
    yield workspace
    job.cancel(launcher, workspace)


@pytest.fixture(scope="module")
def overdue(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Handle:
    """A job whose time is over; Slurm looks twice a minute, so that it is asked for before it is needed."""
    folder = tmp_path_factory.mktemp("overdue")
    forever = Job("overdue", ("sleep", "100"), {}, cwd=folder, folder=folder / "job", time_limit_s=60)
    handle = SlurmLauncher(SlurmSettings()).submit(forever)
    slurm.wait_until((folder / "job" / "log").exists)
    slurm.say("scontrol", "update", f"JobId={handle.job_id}", "EndTime=now+1")
    return handle


def runs(workspace: Workspace) -> int:
    """How often the stand-in for CASA has run."""
    counted = workspace.root / "runs"
    return len(counted.read_text().splitlines()) if counted.exists() else 0


@pytest.mark.usefixtures("overdue")
def test_a_restore_on_slurm_is_the_restore_bit_for_bit(
    launcher: SlurmLauncher,
    installation: Installation,
    workspace: Workspace,
    casa: CasaSettings,
    demo_archive: Path,
    run_in_casa: Callable[..., str],
    casa_side: Path,
    tmp_path: Path,
) -> None:
    lines: list[str] = []
    handle = job.start_or_attach(launcher, installation, workspace, casa)
    outcome.judge(workspace, job.watch(launcher, handle, workspace, casa, lines.append))
    made = [workspace.working / f"{uid.sanitised}.ms" for uid in EBS]
    reference = demo_archive / "reference" / MOUS.sanitised
    program = casa_side / "compare_with_reference.py"
    run_in_casa(program, "--reference", reference, "--out", tmp_path / "found.json", *made, cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert {name: one["identical"] for name, one in found.items()} == {path.name: True for path in made}
    assert lines[-1].startswith("restored 3 execution blocks in ")


def test_a_job_whose_id_was_never_noted_is_found_again(
    launcher: SlurmLauncher, toy: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    """The task died between submitting the job and writing down its id."""
    installation = fake_installation(f"sleep 1; {GOOD}")
    first = job.start_or_attach(launcher, installation, toy, casa)
    known = attempts.latest(toy)
    assert known is not None
    attempts.note(toy, replace(known, handle=replace(first, job_id="")))
    assert job.start_or_attach(launcher, installation, toy, casa) == first
    assert attempts.latest(toy) == known
    outcome.judge(toy, job.watch(launcher, first, toy, casa, print))
    assert runs(toy) == 1


def test_a_submission_that_arrives_too_late_runs_nothing(
    slurm: SlurmCluster, launcher: SlurmLauncher, toy: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    """A killed task's sbatch was still on its way when the next try looked for its job."""
    installation = fake_installation(GOOD)
    late = job.for_restore(installation, toy, casa, attempt=1)
    attempts.note(toy, attempts.Attempt(1, "key", Handle("slurm", "", str(late.folder))))
    second = job.start_or_attach(launcher, installation, toy, casa)
    handle = launcher.submit(late)
    outcome.judge(toy, job.watch(launcher, second, toy, casa, print))
    slurm.wait_until(lambda: handle.job_id not in slurm.say("squeue", "--noheader", "--format=%i"))
    assert (runs(toy), Path(second.folder).name) == (1, "attempt-2")


def test_a_run_stays_with_the_launcher_that_started_it(
    slurm: SlurmCluster, launcher: SlurmLauncher, toy: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    """Somebody changed the settings while CASA ran."""
    installation = fake_installation(f"sleep 1; {GOOD}")
    first = job.start_or_attach(launcher, installation, toy, casa)
    local = launchers.get("local", casa)
    assert job.start_or_attach(local, installation, toy, casa) == first
    second = job.start_or_attach(local, fake_installation(GOOD, name="another"), toy, casa)
    assert (second.launcher, launcher.poll(first).note) == ("local", "it was cancelled")
    outcome.judge(toy, job.watch(local, second, toy, casa, print))
    assert runs(toy) == 1


def test_an_earlier_claim_does_not_stop_a_run(
    launcher: SlurmLauncher, toy: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    """A cleared task's trigger may be told to stop the job after the next try has found it."""
    assert attempts.claim(toy) == 0
    handle = job.start_or_attach(launcher, fake_installation("sleep 60"), toy, casa)
    earlier, later = attempts.claim(toy), attempts.claim(toy)
    job.cancel(launcher, toy, earlier)
    assert launcher.poll(handle).phase in ("waiting", "running")
    job.cancel(launcher, toy, later)
    assert launcher.poll(handle).phase == "ended"


@pytest.fixture(scope="module")
def front(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmSettings]:
    """A host of the cluster that is reached by ssh; here a real sshd."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if not sshd:
        pytest.skip("sshd is not installed: tests/install-peers.sh installs it on Debian.")
    folder, port = tmp_path_factory.mktemp("ssh"), free_port()
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}")
    config = (
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/key.pub\n"
        f"PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nSetEnv SLURM_CONF={slurm.conf}\n"
    )
    (folder / "config").write_text(config)
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL)
    options = ("-F", "none", "-p", str(port), "-i", f"{folder}/key", "-o", f"UserKnownHostsFile={folder}/known_hosts")
    try:
        wait_until(lambda: _listens(port))
        yield SlurmSettings(ssh_host=f"{getpass.getuser()}@127.0.0.1", ssh_options=options, poll_s=0.2)
    finally:
        server.terminate()
        server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_slurm_is_asked_over_ssh(front: SlurmSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_CONF")
    far = SlurmLauncher(front)
    arguments = ("two words", "$(touch hacked)", "'; touch hacked;'")
    environment = {"PATH": os.environ["PATH"], "ONE": "a 'b' $c"}
    script = ("sh", "-c", 'printf "%s\\n" "$@" "$ONE"; touch begun; sleep 60', "sh", *arguments)
    handle = far.submit(Job("far", script, environment, cwd=tmp_path, folder=tmp_path / "job"))
    wait_until((tmp_path / "begun").exists)
    assert far.poll(handle).phase == "running"
    assert far.find(replace(handle, job_id="")) == handle
    assert (tmp_path / "job" / "log").read_text().splitlines() == [*arguments, environment["ONE"]]
    far.cancel(handle)
    assert far.poll(handle).phase == "ended"
    assert not list(tmp_path.rglob("hacked"))


def test_a_front_host_that_cannot_be_reached_is_waited_for(slurm: SlurmCluster, tmp_path: Path) -> None:
    absent = SlurmLauncher(SlurmSettings(ssh_host="127.0.0.1", ssh_options=("-F", "none", "-p", "1")))
    with pytest.raises(NotAvailable, match="Connection refused"):
        absent.submit(Job("far", ("true",), {}, cwd=tmp_path, folder=tmp_path / "job"))
    assert absent.poll(Handle("slurm", "1", str(tmp_path))).phase == "unknown"


def test_a_front_host_without_slurm_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="There is no sh here"):
        CommandLine().run("sh", "-c", "exit 127")


@pytest.mark.parametrize("host", ["-oProxyCommand=touch hacked", "two words", " "])
def test_a_front_host_is_never_taken_for_an_option(host: str) -> None:
    with pytest.raises(ValueError, match="ssh_host"):
        SlurmSettings(ssh_host=host)


def test_a_job_beyond_its_time_limit_has_ended_with_a_note(slurm: SlurmCluster, overdue: Handle) -> None:
    launcher = SlurmLauncher(SlurmSettings())
    slurm.wait_until(lambda: launcher.poll(overdue).phase == "ended")
    note = f"it exceeded its time limit (Slurm's job {overdue.job_id}: TIMEOUT, node1)"
    assert launcher.poll(overdue).note == note
