"""One CASA run a restore, whatever happens to the task that started it. Shell scripts stand in for CASA here."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from casa_task import say_until, start_task

from alma_restore.casa import attempts, job
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.errors import CasaFailed
from alma_restore.ppr import build
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

EB = "uid___A002_X1_X2"
GOOD = f"echo run >>../runs; mkdir {EB}.ms; touch {EB}.ms/table.dat"

Fake = Callable[..., Installation]


@pytest.fixture
def launcher() -> LocalLauncher:
    return LocalLauncher()


@pytest.fixture
def workspace(tmp_path: Path, launcher: LocalLauncher) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "spool").create({})
    workspace.ppr.write_text(f"<PPR><AsdmDiskName>{EB}</AsdmDiskName></PPR>")
    yield workspace
    job.cancel(launcher, workspace)


@pytest.fixture
def casa() -> CasaSettings:
    return CasaSettings(poll_s=0.02, time_limit_s=30, no_progress_s=20)


def runs(workspace: Workspace) -> int:
    """How often the stand-in for CASA has run."""
    counted = workspace.root / "runs"
    return len(counted.read_text().splitlines()) if counted.exists() else 0


def to_its_end(launcher: LocalLauncher, handle: Handle, workspace: Workspace, casa: CasaSettings) -> list[str]:
    """What CASA said, behind the first line of its log, which is ours."""
    lines: list[str] = []
    job.watch(launcher, handle, workspace, casa, lines.append)
    assert " stage=run_casa attempt=" in lines[0]
    return lines[1:]


def test_a_restore_that_has_run_well_is_not_run_again(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    installation = fake_installation(GOOD)
    first = job.start_or_attach(launcher, installation, workspace, casa)
    to_its_end(launcher, first, workspace, casa)
    assert job.start_or_attach(launcher, installation, workspace, casa) == first
    assert runs(workspace) == 1


def test_a_running_restore_is_found_again(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    installation = fake_installation(f"sleep 0.5; {GOOD}")
    first = job.start_or_attach(launcher, installation, workspace, casa)
    assert job.start_or_attach(launcher, installation, workspace, casa) == first
    to_its_end(launcher, first, workspace, casa)
    assert runs(workspace) == 1


@pytest.mark.parametrize(
    "why", ["exit code", "errorexit file", "errorexit file and weblog", "no MeasurementSet", "killed"]
)
def test_a_failed_restore_is_run_again_in_an_empty_folder(
    why: str, launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    fail = {
        "exit code": "exit 1",
        "errorexit file": "touch errorexit-1.txt ../products/errorexit-1.txt",
        "errorexit file and weblog": f"touch errorexit-1.txt ../products/u.{build.PROCEDURE}.weblog.tgz",
        "no MeasurementSet": f"rm -r {EB}.ms",
        "killed": "kill -9 $PPID",
    }[why]
    installation = fake_installation(f"{GOOD}; touch left_over; [ -e ../mended ] && rm left_over || {{ {fail}; }}")
    first = job.start_or_attach(launcher, installation, workspace, casa)
    to_its_end(launcher, first, workspace, casa)
    assert (workspace.working / "left_over").exists()
    (workspace.root / "mended").touch()
    second = job.start_or_attach(launcher, installation, workspace, casa)
    to_its_end(launcher, second, workspace, casa)
    assert (runs(workspace), Path(second.folder).name) == (2, "attempt-2")
    assert [path.name for path in workspace.working.iterdir()] == [f"{EB}.ms"]
    assert not list(workspace.root.rglob("errorexit-*"))
    assert not list(workspace.products.glob("*.weblog.tgz")), "the weblog of a failure would be delivered"
    assert job.start_or_attach(launcher, installation, workspace, casa) == second


@pytest.mark.parametrize("what", ["PPR", "installation"])
def test_another_request_stops_the_run_and_starts_its_own(
    what: str, launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    first = job.start_or_attach(launcher, fake_installation("sleep 60"), workspace, casa)
    if what == "PPR":
        workspace.ppr.write_text(workspace.ppr.read_text() + "<!-- other -->")
    installation = fake_installation("sleep 60", name="fake" if what == "PPR" else "another")
    second = job.start_or_attach(launcher, installation, workspace, casa)
    assert launcher.poll(first).phase == "ended"
    assert launcher.poll(second).phase == "running"


def test_many_tasks_at_once_start_one_run(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    installation = fake_installation(f"sleep 0.3; {GOOD}")
    handles: list[Handle] = []
    tasks = [
        threading.Thread(target=lambda: handles.append(job.start_or_attach(launcher, installation, workspace, casa)))
        for _ in range(8)
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert len({handle.job_id for handle in handles}) == 1
    to_its_end(launcher, handles[0], workspace, casa)
    assert runs(workspace) == 1


def test_a_run_whose_start_was_never_noted_is_stopped(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    """The task died between starting the job and writing down its id."""
    handle = job.start_or_attach(launcher, fake_installation("sleep 60"), workspace, casa)
    known = attempts.latest(workspace)
    assert known is not None
    attempts.note(workspace, Attempt(known.number, known.key, Handle(launcher.name, "", handle.folder)))
    second = job.start_or_attach(launcher, fake_installation("sleep 60"), workspace, casa)
    assert Path(second.folder).name == "attempt-2"
    assert launcher.poll(handle).phase == "ended"


def test_the_log_is_followed_line_by_line_to_its_end(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    script = 'echo one; sleep 0.2; printf "tw"; sleep 0.2; echo o; echo last'
    handle = job.start_or_attach(launcher, fake_installation(script), workspace, casa)
    assert to_its_end(launcher, handle, workspace, casa) == ["one", "two", "last"]


def test_the_log_begins_with_what_it_is_about(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    workspace.create({"requestId": "id-1", "ousStatusId": "uid://A001/X1/X2"})
    handle = job.start_or_attach(launcher, fake_installation("echo one"), workspace, casa)
    to_its_end(launcher, handle, workspace, casa)
    about, said = Path(handle.folder, "log").read_text().splitlines()
    assert about == "request_id=id-1 mous_uid=uid://A001/X1/X2 stage=run_casa attempt=1"
    assert said == "one"


@pytest.mark.parametrize(
    ("script", "limits", "sentence"),
    [
        ("while sleep 0.1; do echo busy; done", {"time_limit_s": 1.0}, "still running after 1 s"),
        ("echo begun; sleep 60", {"no_progress_s": 0.5}, "wrote nothing for 0 s|wrote nothing for 1 s"),
        ("echo begun; kill -STOP $$", {"no_progress_s": 0.5}, "wrote nothing"),
    ],
    ids=["too long", "no progress", "stopped"],
)
def test_a_run_beyond_its_limits_is_stopped_and_reported(
    script: str,
    limits: dict[str, float],
    sentence: str,
    launcher: LocalLauncher,
    workspace: Workspace,
    casa: CasaSettings,
    fake_installation: Fake,
) -> None:
    limited = casa.model_copy(update=limits)
    handle = job.start_or_attach(launcher, fake_installation(script), workspace, limited)
    with pytest.raises(CasaFailed, match=sentence) as caught:
        to_its_end(launcher, handle, workspace, limited)
    assert caught.value.log_tail
    assert launcher.poll(handle).phase == "ended"


def test_the_wait_for_a_place_does_not_count_as_the_time_of_a_run_that_is_found_again(
    launcher: LocalLauncher, casa: CasaSettings, fake_installation: Fake, tmp_path: Path
) -> None:
    limited = casa.model_copy(update={"time_limit_s": 5.0, "cores": 1})
    first, second = (Workspace(tmp_path / "restore" / "parts" / name).create({}) for name in ("first", "second"))
    for part in (first, second):
        part.ppr.write_text(f"<PPR><AsdmDiskName>{EB}</AsdmDiskName></PPR>")
    holding = job.start_or_attach(launcher, fake_installation("sleep 4.5; exit 1"), first, limited)
    while launcher.poll(holding).phase == "waiting":
        time.sleep(0.02)
    installation = fake_installation(f"sleep 1.5; {GOOD}")
    handle = job.start_or_attach(launcher, installation, second, limited)
    while launcher.poll(handle).phase == "waiting":
        time.sleep(0.02)
    assert job.start_or_attach(launcher, installation, second, limited) == handle
    assert job.watch(launcher, handle, second, limited, lambda _: None).exit_code == 0


def test_a_run_that_only_writes_its_measurement_set_is_alive(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    script = f"mkdir {EB}.ms; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.3; echo $i >>{EB}.ms/table.f1; done"
    limited = casa.model_copy(update={"no_progress_s": 1.8})
    handle = job.start_or_attach(launcher, fake_installation(script), workspace, limited)
    to_its_end(launcher, handle, workspace, limited)
    assert launcher.poll(handle).exit_code == 0


def test_cancelling_a_restore_that_never_started_is_fine(launcher: LocalLauncher, tmp_path: Path) -> None:
    job.cancel(launcher, Workspace(tmp_path / "nothing"))
    job.cancel(launcher, Workspace(tmp_path / "spool").create({}))


def test_a_run_is_stopped_though_its_disk_cannot_be_written_any_more(
    launcher: LocalLauncher,
    workspace: Workspace,
    casa: CasaSettings,
    fake_installation: Fake,
    break_disk: Callable[[Path], None],
) -> None:
    handle = job.start_or_attach(launcher, fake_installation("sleep 60"), workspace, casa)
    break_disk(workspace.root)
    job.cancel(launcher, workspace)
    assert launcher.poll(handle).phase == "ended"


def test_a_run_beyond_its_limits_is_stopped_though_its_disk_cannot_be_written_any_more(
    launcher: LocalLauncher,
    workspace: Workspace,
    casa: CasaSettings,
    fake_installation: Fake,
    break_disk: Callable[[Path], None],
) -> None:
    limited = casa.model_copy(update={"no_progress_s": 0.5})
    handle = job.start_or_attach(launcher, fake_installation("sleep 60"), workspace, limited)
    break_disk(workspace.root)
    with pytest.raises(CasaFailed, match="wrote nothing"):
        to_its_end(launcher, handle, workspace, limited)
    assert launcher.poll(handle).phase == "ended"


def test_where_no_run_has_ever_begun_and_none_can_there_is_nothing_to_cancel(
    launcher: LocalLauncher, workspace: Workspace, break_disk: Callable[[Path], None]
) -> None:
    break_disk(workspace.root)
    job.cancel(launcher, workspace)


def test_casa_is_told_where_things_are_and_no_secret(
    workspace: Workspace, casa: CasaSettings, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE", "oracle://user:secret@host")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    made = job.for_restore(installation, workspace, casa, attempt=3)
    assert made.cwd == workspace.working
    assert made.folder == workspace.logs / "attempt-3"
    assert made.env["SCIPIPE_ROOTDIR"] == str(workspace.root)
    assert made.env["SCIPIPE_LOGDIR"] == str(workspace.logs)
    assert Path(made.env["HOME"], ".casa", "config.py").is_file()
    assert not {name for name in made.env if name.startswith(("AIRFLOW", "PYTHONPATH", "ALMA_RESTORE"))}


def test_a_killed_task_leaves_its_run_alone(
    launcher: LocalLauncher, workspace: Workspace, casa: CasaSettings, fake_installation: Fake
) -> None:
    installation = fake_installation(f"echo begun; sleep 1; {GOOD}")
    with start_task(workspace, installation) as task:
        say_until(task, "begun")
        os.killpg(task.pid, signal.SIGKILL)
    handle = job.start_or_attach(launcher, installation, workspace, casa)
    assert to_its_end(launcher, handle, workspace, casa) == ["begun"]
    assert runs(workspace) == 1
