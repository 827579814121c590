"""An Airflow to talk to, and a catalogue that tells how restores fare."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_airflow import FakeAirflow, serve

from alma_restore.catalogue.store import Catalogue
from alma_restore.client import desk as desks
from alma_restore.client.desk import Desk
from alma_restore.client.rest import AirflowRest, Credentials
from alma_restore.settings import settings


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
