"""Each execution block in a CASA job of its own: a real restore on a real Slurm, failures, and what stops whom."""

from __future__ import annotations

import json
import os
import subprocess
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
_, SECOND, THIRD = EBS
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


@pytest.fixture
def failed(
    toy_casa: Callable[[str], None], restore: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[tuple[Any, Uid]]:
    """A request of which one execution block has failed while CASA was at work on the others, and which one.

    `dag.test()` runs mapped tasks one after another, in any order; here the first one starts what the others would
    have, and fails.
    """
    from alma_restore.orchestration.open_house import open_house

    fails, mended = tmp_path / "fails", tmp_path / "mended"
    toy_casa(f'[ -e {mended} ] || case "$0" in */$(cat {fails})/*) exit 3;; esac; sleep 600')
    start = calibrating.start_casa

    def start_all(house: House, request_id: str, uid: Uid) -> Any:
        fails.write_text(uid.sanitised)
        return [start(house, request_id, each) for each in EBS][EBS.index(uid)]

    with monkeypatch.context() as patched:
        patched.setattr(calibrating, "start_casa", start_all)
        request = restore()
    mended.touch()
    yield request, Uid(fails.read_text())
    calibrating.cancel_casa(open_house(), request.id)


def test_the_first_failure_stops_all_runs_and_a_killed_task_stops_its_own(failed: tuple[Any, Uid]) -> None:
    from alma_restore.orchestration.open_house import open_house
    from alma_restore.orchestration.operators import RunCasaOperator

    request, eb_uid = failed
    assert request.state == "failed"
    assert request.reason == f"{eb_uid}: CASA ended with exit code 3 and gives no reason."
    house = open_house()
    parts = [house.workspace(request.id).part(uid) for uid in EBS]
    assert [phase(part) for part in parts] == ["ended"] * 3

    for uid in EBS:
        calibrating.start_casa(house, request.id, uid)
    assert "ended" not in [phase(part) for part in parts]
    killed = RunCasaOperator(task_id="run_casa", restores=str(SECOND))
    killed.request_id = request.id
    killed.on_kill()
    assert [phase(part) == "ended" for part in parts] == [False, True, False]
    calibrating.cancel_casa(house, request.id)
    assert [phase(part) for part in parts] == ["ended"] * 3
