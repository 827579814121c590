"""CASA on a real Slurm, seen from Airflow: the task defers, its trigger waits, and the job ends with the task."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from alma_restore import settings
from alma_restore.casa import attempts, job
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle
from alma_restore.casa.launchers.slurm import SlurmLauncher
from alma_restore.settings import CasaSettings, SlurmSettings
from alma_restore.workspace import Workspace
from slurm_cluster import SlurmCluster

ONE_EB = "uid://A001/X1284/X266"
ANY_CASA = """\
[[installation]]
name = "frozen"
engine = "casatasks"
casa_version = "99.0.0"
python = "{python}"
command = ["sh", "-c", "echo begun; sleep 60", "sh", "{{ppr}}"]
"""


@pytest.fixture
def on_slurm(slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {
        "ALMA_RESTORE_CASA__LAUNCHER": "slurm",
        "ALMA_RESTORE_CASA__SLURM__POLL_S": "0.2",
        "ALMA_RESTORE_CASA__SLURM__PARTITION": "casa",
        "ALMA_RESTORE_KEEP_WORKSPACE": "always",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.settings.cache_clear()


@pytest.fixture
def restore(dag_of: Callable[[str], Any], home: Path, on_slurm: None, catalogue: Any) -> Callable[[], Any]:
    """Run restore_mous on the demo's smallest MOUS; `dag.test()` runs its triggers too."""

    def run() -> Any:
        request = catalogue.by_run_id(dag_of("restore_mous").test(run_conf={"mous_uid": ONE_EB}).run_id)
        assert request is not None
        return request

    return run


def test_a_restore_waits_for_slurm_and_is_delivered(
    restore: Callable[[], Any], slurm: SlurmCluster, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cluster is down when CASA should start, and up again when the task looks a second time."""
    from alma_restore.orchestration.operators import RunCasaOperator

    start_later, waits = RunCasaOperator._start_later, []

    def cluster_comes_back(*arguments: Any) -> None:
        waits.append(arguments)
        slurm.start_controller()
        start_later(*arguments)

    monkeypatch.setattr(RunCasaOperator, "_start_later", cluster_comes_back)
    slurm.stop("slurmctld")
    request = restore()
    assert (request.state, request.reason) == ("delivered", "")
    assert len(waits) == 1
    known = attempts.latest(Workspace(Path(request.workspace)))
    assert known is not None
    assert (known.handle.launcher, known.claim) == ("slurm", 1)
    assert [path.name for path in (home / "deliveries").glob("*/*.ms")] == ["uid___A002_Xcc8b1f_X2d1a.ms"]


def test_a_job_that_is_given_up_ends_the_request_in_one_sentence(
    restore: Callable[[], Any], slurm: SlurmCluster, casa_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "casa.toml").write_text(ANY_CASA.format(python=casa_python))
    monkeypatch.setenv("ALMA_RESTORE_CASA__INSTALLATIONS", str(tmp_path / "casa.toml"))
    monkeypatch.setenv("ALMA_RESTORE_CASA__NO_PROGRESS_S", "1")
    settings.settings.cache_clear()
    request = restore()
    assert request.state == "failed"
    assert "CASA wrote nothing for 1 s, and was stopped." in request.reason
    assert "begun" in request.log_tail
    assert slurm.say("squeue", "--me", "--noheader") == ""


class Waiting:
    """A job on Slurm, and the trigger that waits for it."""

    def __init__(self, workspace: Workspace, handle: Handle) -> None:
        from alma_restore.orchestration.triggers import CasaJobTrigger

        self.workspace, self.handle = workspace, handle
        self.trigger = CasaJobTrigger(str(workspace.root), asdict(handle), attempts.claim(workspace))


@pytest.fixture
def waiting(tmp_path: Path, on_slurm: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Waiting]]:
    """Start a stand-in for CASA, and make the trigger for it."""
    monkeypatch.setenv("ALMA_RESTORE_HOME", str(tmp_path))
    settings.settings.cache_clear()
    launcher, workspace = SlurmLauncher(SlurmSettings(poll_s=0.1)), Workspace(tmp_path / "spool").create({})
    workspace.ppr.write_text("<PPR/>")

    def start(script: str) -> Waiting:
        casa = Installation(
            name="toy", engine="casatasks", casa_version="6.7.0", command=("sh", "-c", script, "sh", "{ppr}")
        )
        return Waiting(workspace, job.start_or_attach(launcher, casa, workspace, CasaSettings()))

    yield start
    job.cancel(launcher, workspace)
    settings.settings.cache_clear()


async def first_event(trigger: Any) -> dict[str, Any]:
    return dict((await anext(trigger.run())).payload)


def restarted(trigger: Any) -> Any:
    """The trigger as another triggerer makes it from Airflow's database."""
    from airflow.sdk.module_loading import import_string

    path, kwargs = trigger.serialize()
    return import_string(path)(**json.loads(json.dumps(kwargs)))


def test_a_trigger_fires_with_the_job_s_end(waiting: Callable[[str], Waiting]) -> None:
    event = asyncio.run(first_event(waiting("exit 3").trigger))
    assert event == {"state": {"phase": "ended", "exit_code": 3, "note": ""}}


def test_a_triggerer_that_restarts_goes_on_where_it_was(waiting: Callable[[str], Waiting], tmp_path: Path) -> None:
    here = waiting(f"echo begun; until [ -e {tmp_path}/go ]; do sleep 0.1; done; exit 4")

    async def restart() -> dict[str, Any]:
        first = asyncio.create_task(first_event(here.trigger))
        while not Path(here.handle.folder, "log").exists():
            await asyncio.sleep(0.1)
        first.cancel()  # as a triggerer does when it stops: no on_kill
        second = asyncio.create_task(first_event(restarted(here.trigger)))
        await asyncio.sleep(0.3)
        (tmp_path / "go").touch()
        return await second

    assert asyncio.run(restart()) == {"state": {"phase": "ended", "exit_code": 4, "note": ""}}


def test_killing_the_task_stops_the_job_unless_another_task_has_claimed_it(
    waiting: Callable[[str], Waiting],
) -> None:
    here = waiting("sleep 60")
    launcher = SlurmLauncher(SlurmSettings())
    later = Waiting(here.workspace, here.handle)
    asyncio.run(here.trigger.on_kill())
    assert launcher.poll(here.handle).phase != "ended"
    asyncio.run(later.trigger.on_kill())
    assert launcher.poll(here.handle).note == "it was cancelled"


def test_a_trigger_holds_no_secret(waiting: Callable[[str], Waiting], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ALMA_METADATA", "oracle://user:secret@host")
    _, kwargs = waiting("true").trigger.serialize()
    assert set(kwargs) == {"workspace", "handle", "claim"}
    assert set(kwargs["handle"]) == {"launcher", "job_id", "folder", "facts"}
    assert kwargs["handle"]["facts"] == {}
