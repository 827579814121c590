"""A live Airflow in front of a real Slurm: its scheduler and triggerer come and go, tasks are stopped and cleared."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from servers import Running

from alma_restore.casa import attempts
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo import environment as demo
from alma_restore.demo.environment import DemoPlace, DemoPorts
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.demo.small_airflow import free_port
from alma_restore.workspace import Workspace
from slurm_cluster import SlurmCluster

MOUS_UID = "uid://A001/X1284/X266"  # of one execution block
# Real CASA, behind a gate: it begins when the file `go` is there.
GATED_CASA = """\
[[installation]]
name = "gated"
engine = "casatasks"
casa_version = "99.0.0"
python = "{python}"
command = [
    "sh", "-c", 'until [ -e "$0" ]; do sleep 0.2; done; exec "$@"', "{gate}",
    "{{python}}", "{{casa_side}}/restore_mous.py", "{{ppr}}", "--cores", "{{cores}}",
]
"""


GATE = 'until [ -e "$0" ]; do sleep 0.2; done; exec "$@"'


@dataclass
class Live(Running):
    """The running Airflow, and the gates before the export of raw data and before CASA."""

    catalogue: Catalogue
    export: Path
    gate: Path

    def trigger(self) -> str:
        run = {"logical_date": None, "conf": {"mous_uid": MOUS_UID}}
        return str(self.airflow.api("POST", "dags/restore_mous/dagRuns", json=run).json()["dag_run_id"])

    def state(self, run_id: str, task: str) -> str:
        path = f"dags/restore_mous/dagRuns/{run_id}/taskInstances/{task}/0"
        return str(self.airflow.api("GET", path).json().get("state"))

    def wait_until_deferred(self, run_id: str) -> Workspace:
        self.wait("the task to defer", lambda: self.state(run_id, "run_casa") == "deferred")
        record = self.catalogue.by_run_id(run_id)
        assert record is not None
        return Workspace(Path(record.workspace))

    def wait_until_watched(self, run_id: str) -> None:
        """Until the triggerer has begun to look at the job: a trigger that never began cannot say who ended it."""
        path = f"dags/restore_mous/dagRuns/{run_id}/taskInstances/run_casa/logs/1?map_index=0"
        self.wait("the trigger", lambda: "Slurm's job" in self.airflow.api("GET", path).text)

    def mark_failed(self, run_id: str, task: str) -> None:
        """As a person does on Airflow's pages, for the first of mapped tasks."""
        path = f"dags/restore_mous/dagRuns/{run_id}/taskInstances/{task}/0"
        self.airflow.api("PATCH", path, json={"new_state": "failed"}).raise_for_status()

    def mark_run_failed(self, run_id: str) -> None:
        path = f"dags/restore_mous/dagRuns/{run_id}"
        self.airflow.api("PATCH", path, json={"state": "failed"}).raise_for_status()

    def pause(self, paused: bool) -> None:
        self.airflow.api("PATCH", "dags/restore_mous", json={"is_paused": paused}).raise_for_status()

    def history(self, record: RequestRecord) -> list[str]:
        return [line.note for line in self.catalogue.history(record.id)]

    def end(self, run_id: str) -> RequestRecord:
        def ended() -> RequestRecord | None:
            record = self.catalogue.by_run_id(run_id)
            return record if record and record.ended else None

        found: RequestRecord = self.wait("the request's end", ended)
        return found


@pytest.fixture
def live(
    slurm: SlurmCluster, tmp_path: Path, demo_archive: Path, restore_home: Path, casa_python: Path
) -> Iterator[Live]:
    here, ports = DemoPlace(tmp_path), DemoPorts(free_port(), free_port(), free_port())
    here.run.mkdir(parents=True)
    (here.run / "casa.toml").write_text(GATED_CASA.format(python=casa_python, gate=tmp_path / "go"))
    with ExitStack() as stack:
        stack.enter_context(MailCatcher(here.run / "mails", ports.smtp))
        stack.enter_context(NgasServer(demo_archive / "ngas", port=ports.ngas))
        variables = {
            **demo.environment(here, ports, demo_archive),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "ALMA_RESTORE_CASA_PYTHON": str(casa_python),
            "ALMA_RESTORE_CASA__INSTALLATIONS": str(here.run / "casa.toml"),
            "ALMA_RESTORE_CASA__LAUNCHER": "slurm",
            "ALMA_RESTORE_EXPORTER__COMMAND": json.dumps(
                [
                    "sh",
                    "-c",
                    GATE,
                    str(tmp_path / "export"),
                    sys.executable,
                    "-m",
                    "alma_restore.demo.asdm_export_light",
                ]
            ),
            "ALMA_RESTORE_CASA__SLURM__POLL_S": "1",
            "ALMA_RESTORE_KEEP_WORKSPACE": "always",
            "SLURM_CONF": str(slurm.conf),
        }
        airflow = demo.small_airflow(DemoPlace(tmp_path), ports, variables)
        airflow.template = restore_home / "cache" / airflow.template.name
        stack.callback(airflow.stop)
        airflow.migrate()
        airflow.start()
        airflow.wait_until_healthy()
        catalogue = Catalogue.opened(f"sqlite:///{here.run}/catalogue.db")
        running = Live(airflow, catalogue, tmp_path / "export", tmp_path / "go")
        unpause = {"json": {"is_paused": False}}
        running.wait("the DAG", lambda: airflow.api("PATCH", "dags/restore_mous", **unpause).status_code == 200)
        yield running


@pytest.mark.timeout(600)
def test_casa_on_slurm_survives_airflow_and_ends_with_its_task(live: Live, slurm: SlurmCluster) -> None:
    stopped = live.trigger()
    words = live.wait("the export", lambda: (it := live.catalogue.by_run_id(stopped)) and it.workspace)
    live.wait("the task", lambda: (Path(words) / "Logs" / "tasks").is_dir())
    live.wait("its start", lambda: live.state(stopped, "fetch_asdm") == "running")
    live.mark_failed(stopped, "fetch_asdm")
    record = live.end(stopped)
    assert record.state == "cancelled", record.reason
    assert "Its task was marked failed in Airflow during fetch_asdm." in live.history(record)

    live.pause(True)
    never_began = live.trigger()
    live.mark_run_failed(never_began)
    live.pause(False)
    record = live.end(never_began)
    assert record.state == "cancelled", record.reason
    assert "The run was marked failed in Airflow during its start." in live.history(record)

    live.export.touch()
    failed, cleared = live.trigger(), live.trigger()
    spools = {run_id: live.wait_until_deferred(run_id) for run_id in (failed, cleared)}

    job = attempts.latest(spools[failed])
    assert job is not None
    live.wait_until_watched(failed)
    live.mark_failed(failed, "run_casa")
    live.wait("its job's end", lambda: job.handle.folder not in slurm.say("squeue", "--noheader", "--format=%Z"))
    record = live.end(failed)
    assert record.state == "cancelled", record.reason
    assert "Its task was marked failed in Airflow during run_casa." in live.history(record)

    before = attempts.latest(spools[cleared])
    again = {"dag_run_id": cleared, "task_ids": ["run_casa"], "dry_run": False, "only_failed": False}
    live.airflow.api("POST", "dags/restore_mous/clearTaskInstances", json=again).raise_for_status()
    live.wait("the second try", lambda: attempts.latest(spools[cleared]) != before)
    live.wait_until_deferred(cleared)

    for component in ("scheduler", "triggerer"):
        live.airflow.kill_component(component)
        live.airflow.start_component(component)
    live.gate.touch()
    record = live.end(cleared)
    assert record.state == "delivered", record.reason
    assert len(list(spools[cleared].logs.glob("attempt-*/rc"))) == 1
