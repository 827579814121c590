"""Each execution block in a CASA job of its own: a real restore on a real Slurm, failures, and what stops whom."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alma_restore import settings
from alma_restore.casa import attempts, launchers
from alma_restore.casa.casa_home import CASA_SIDE, casa_home
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.ppr import read
from alma_restore.restore import calibrating
from alma_restore.restore.house import House
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

MOUS = DEMO_MOUSS[0]
EBS = tuple(eb.uid for eb in MOUS.ebs if eb.qa0 == "Pass")
FIRST, SECOND, THIRD = EBS
TOY_CASA = """\
[[installation]]
name = "toy"
engine = "casatasks"
casa_version = "99.0.0"
python = "{python}"
command = ["sh", "-c", {script}, "{{ppr}}"]
"""


@pytest.fixture
def configure(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_variables(**variables: str) -> None:
        for name, value in {"CASA__JOBS": "eb", "KEEP_WORKSPACE": "always", **variables}.items():
            monkeypatch.setenv(f"ALMA_RESTORE_{name}", value)
        settings.settings.cache_clear()

    return set_variables


@pytest.fixture
def restore(dag_of: Callable[[str], Any], catalogue: Catalogue) -> Callable[[], Any]:
    def run() -> Any:
        return catalogue.by_run_id(dag_of("restore_mous").test(run_conf={"mous_uid": MOUS.uid}).run_id)

    return run


@pytest.fixture
def toy_casa(configure: Callable[..., None], casa_python: Path, tmp_path: Path) -> Callable[[str], None]:
    """A shell script, whose $0 is the PPR, in CASA's place."""

    def install(script: str) -> None:
        (tmp_path / "casa.toml").write_text(TOY_CASA.format(script=json.dumps(script), python=casa_python))
        configure(CASA__INSTALLATIONS=str(tmp_path / "casa.toml"), CASA__CORES="3")

    return install


def phase(part: Workspace) -> str:
    known = attempts.latest(part)
    return launchers.get("local", settings.settings().casa).poll(known.handle).phase if known else "none"


def test_one_slurm_job_for_each_execution_block_restores_the_same_data(
    slurm: Any, configure: Callable[..., None], restore: Callable[[], Any], home: Path, archive: Path, casa_python: Path
) -> None:
    configure(CASA__LAUNCHER="slurm", CASA__SLURM__POLL_S="0.2", CASA__SLURM__PARTITION="casa")
    request = restore()
    assert (request.state, request.reason) == ("delivered", "")
    workspace = Workspace(Path(request.workspace))
    found = [attempts.latest(workspace.part(uid)) for uid in EBS]
    assert len({known.handle.job_id for known in found if known and known.handle.launcher == "slurm"}) == 3
    numbers = {uid: [(one.number, one.eb_uids) for one in read.read(workspace.part(uid).ppr).sessions] for uid in EBS}
    assert numbers[THIRD] == [(1, ()), (2, ()), (3, (THIRD,))]

    (delivered,) = (home / "deliveries").glob("*[!.]*")
    made = sorted(delivered.glob("*.ms"))
    assert [ms.name for ms in made] == sorted(f"{uid.sanitised}.ms" for uid in EBS)
    program, reference = CASA_SIDE / "compare_with_reference.py", archive / "reference" / MOUS.uid.sanitised
    environment = {"PATH": os.environ["PATH"], **casa_home(home / "casa-home", casa_python)}
    command = [casa_python, program, "--reference", reference, "--out", home / "found.json", *made]
    subprocess.run(list(map(str, command)), env=environment, cwd=home, check=True)
    assert all(one["identical"] for one in json.loads((home / "found.json").read_text()).values())
    report = (delivered / "report.html").read_text()
    assert report.count("importasdm(") == 3


def test_an_execution_block_that_fails_fails_the_request_by_its_name_and_stops_the_others(
    toy_casa: Callable[[str], None], restore: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dag.test()` runs mapped tasks one after another; here the first one starts what the others would have."""
    toy_casa(f'case "$0" in */{FIRST.sanitised}/*) sleep 1; exit 3;; *) sleep 600;; esac')
    start = calibrating.start_casa

    def start_all(house: House, request_id: str, uid: Uid) -> Any:
        return [start(house, request_id, each) for each in EBS][EBS.index(uid)]

    monkeypatch.setattr(calibrating, "start_casa", start_all)
    request = restore()
    assert request.state == "failed"
    assert request.reason == f"{FIRST}: CASA ended with exit code 3 and gives no reason."
    assert [phase(part) for part in Workspace(Path(request.workspace)).parts] == ["ended"] * 3


@pytest.fixture
def three_runs(
    toy_casa: Callable[[str], None], restore: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue
) -> Iterator[tuple[House, Any]]:
    """A request whose three CASA runs are at work."""
    from alma_restore.orchestration.open_house import open_house

    toy_casa("sleep 600")
    with monkeypatch.context() as patched:
        patched.setattr(calibrating, "start_casa", lambda *_: 1 / 0)
        request = restore()
    house = open_house()
    for uid in EBS:
        calibrating.start_casa(house, request.id, uid)
    yield house, request
    calibrating.cancel_casa(house, request.id)


def test_a_task_that_is_killed_stops_its_own_casa_and_a_request_that_is_cancelled_all(
    three_runs: tuple[House, Any],
) -> None:
    from alma_restore.orchestration.operators import RunCasaOperator

    house, request = three_runs
    parts = [house.workspace(request.id).part(uid) for uid in EBS]
    while any(phase(part) == "waiting" for part in parts):
        time.sleep(0.1)
    assert [phase(part) for part in parts] == ["running"] * 3
    RunCasaOperator(task_id="run_casa", request={"request_id": request.id}, restores=str(SECOND)).on_kill()
    assert [phase(part) for part in parts] == ["running", "ended", "running"]
    calibrating.cancel_casa(house, request.id)
    assert [phase(part) for part in parts] == ["ended"] * 3
