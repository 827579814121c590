"""An Airflow to talk to, an archive to look into, and a catalogue that tells how restores fare."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_airflow import FakeAirflow, serve

from alma_restore.archive import embedded
from alma_restore.archive.records import ProductFile, SchedBlock
from alma_restore.catalogue.store import Catalogue
from alma_restore.client import desk as desks
from alma_restore.client.desk import Desk
from alma_restore.client.rest import AirflowRest, Credentials
from alma_restore.demo.metadata import Execution, MousRecord, write_mous
from alma_restore.settings import settings
from alma_restore.uid import Uid


@pytest.fixture
def airflow() -> Iterator[FakeAirflow]:
    with serve(FakeAirflow()) as fake:
        yield fake


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue.opened(f"sqlite:///{tmp_path}/home/catalogue.db")


@pytest.fixture
def rest(airflow: FakeAirflow) -> AirflowRest:
    return AirflowRest(airflow.url, Credentials())


@pytest.fixture
def desk(rest: AirflowRest, catalogue: Catalogue) -> Desk:
    return Desk(rest, catalogue)


@pytest.fixture
def remote_desk(rest: AirflowRest) -> Desk:
    """A desk from which the catalogue is out of reach."""
    return Desk(rest, None)


@pytest.fixture
def surroundings(airflow: FakeAirflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of somebody at the keyboard: nothing set but where Airflow and our home are."""
    for name in [*os.environ]:
        if name.startswith(("ALMA_RESTORE_", "AIRFLOW", "CAPO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ALMA_RESTORE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ALMA_RESTORE_AIRFLOW_URL", airflow.url)
    monkeypatch.setattr(desks, "POLL_S", 0.01)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


DAY = datetime(2024, 1, 10, 12, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded archive: two MOUSs to restore, one calibrated by hand, one of another month."""
    folder = tmp_path_factory.mktemp("archive")
    with closing(embedded.create(folder / "metadata.sqlite")) as database:
        for number, facts in enumerate(
            (
                {"delivered_at": (DAY,), "source_name": "NGC1068"},
                {"delivered_at": (DAY + timedelta(days=3),), "project_code": "2018.1.00001.S"},
                {"delivered_at": (DAY + timedelta(days=4),), "scripts": ("scriptForCalibration.py",)},
                {"delivered_at": (DAY + timedelta(days=60),)},
            ),
            start=1,
        ):
            write_mous(database, _mous(number, **facts))
        database.commit()
    for number in range(1, 5):
        block = folder / "asdm" / f"uid___A002_X1_X{number}" / "ASDMBinary"
        block.mkdir(parents=True)
        with (block / "uid___A002_X5_X1").open("wb") as data:
            data.truncate(number * 1_000_000_000)  # holes: it takes no disk
    return folder


def _mous(number: int, scripts: tuple[str, ...] = (), **facts: Any) -> MousRecord:
    block = SchedBlock(Uid(f"uid://A001/X2/X{number}"), None, "FullyObserved", f"sb {number}", "TWELVE-M")
    observed = DAY - timedelta(days=30)
    names = {"session_1.caltables.tgz": "calibration", "pipeline_manifest.xml": "script", "spw1.fits": "science"}
    files = [ProductFile(f"member.{number}.{name}", kind, 10) for name, kind in names.items()]
    return MousRecord(
        **{
            "uid": Uid(f"uid://A001/X1/X{number}"),
            "project_code": "2017.1.00370.S",
            "project_uid": Uid("uid://A001/X4/X1"),
            "project_status_uid": Uid("uid://A001/X4/X2"),
            "obs_unit_set_uid": Uid("uid://A001/X4/X1"),
            "obs_unit_set_part_id": f"X{number}",
            "sched_blocks": (block,),
            "executions": (
                Execution(Uid(f"uid://A002/X1/X{number}"), block.uid, "Pass", "s1", observed, observed),
                Execution(Uid(f"uid://A002/X2/X{number}"), block.uid, "Fail", "s1", observed, observed),
            ),
            "files": (*files, *(ProductFile(name, "script", 10) for name in scripts)),
        }
        | facts
    )


@pytest.fixture
def at_the_archive(surroundings: pytest.MonkeyPatch, archive: Path) -> pytest.MonkeyPatch:
    """The environment of somebody whose archive is the embedded one."""
    connection = {"conn_type": "alma_embedded", "host": str(archive / "metadata.sqlite")}
    surroundings.setenv("AIRFLOW_CONN_ALMA_METADATA", json.dumps(connection))
    return surroundings
