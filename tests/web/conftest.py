"""The archive page without Airflow: its app, a small archive, a catalogue, and a stand-in for Airflow's runs."""

from __future__ import annotations

import math
import shutil
from contextlib import closing, nullcontext

import pytest
from fastapi.testclient import TestClient
from page_tools import MOUSS, REQUESTER, Runs

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.source import Archive
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo.many_mous import many_mous
from alma_restore.demo.metadata import write_many
from alma_restore.restore.house import House
from alma_restore.rules import eligibility
from alma_restore.settings import DeliverySettings, Settings
from alma_restore.web import access, airflow_runs, progress, searching
from alma_restore.web import house as houses
from alma_restore.web.answers import Answers
from alma_restore.web.app import create_app


@pytest.fixture(scope="session")
def metadata_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "metadata.sqlite"
    with closing(embedded.create(path)) as connection:
        write_many(connection, many_mous(MOUSS))
        connection.commit()
    return path


@pytest.fixture(scope="session")
def empty_catalogue(tmp_path_factory):
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.db"
    Catalogue.opened(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture
def house(tmp_path, metadata_file, empty_catalogue):
    settings = Settings(home=tmp_path, delivery=DeliverySettings(root=tmp_path / "deliveries"))
    shutil.copyfile(empty_catalogue, tmp_path / "catalogue.db")
    metadata = Metadata(lambda: closing(embedded.connect(metadata_file)))
    archive = Archive(metadata, ngas=None, exporter=None, asdm_folder=tmp_path / "asdm")
    return House(settings, Catalogue(settings.catalogue), archive, send_mail=print, open_sftp=nullcontext)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """However busy the machine, a page shows all that it can."""
    monkeypatch.setattr(searching, "PATIENCE_S", math.inf)


@pytest.fixture(autouse=True)
def fresh_sizes(monkeypatch):
    """However soon a test looks again, it sees what has come meanwhile."""
    monkeypatch.setattr(progress, "SIZE_KEPT_S", 1e-9)


@pytest.fixture
def runs():
    return Runs()


@pytest.fixture
def app(house, runs):
    app = create_app()
    answers = Answers(limit_s=60)
    app.dependency_overrides |= {
        access.visitor: lambda: REQUESTER,
        access.server_secret: lambda: "a secret",
        houses.opened_house: lambda: house,
        houses.archive_answers: lambda: answers,
        airflow_runs.airflow_runs: lambda: runs,
    }
    return app


@pytest.fixture
def client(app):
    """A browser that shows our own pages."""
    with TestClient(app, follow_redirects=False, headers={"Accept": "text/html"}) as client:
        yield client


@pytest.fixture(scope="session")
def calibrations(metadata_file):
    return list(Metadata(lambda: closing(embedded.connect(metadata_file))).all_calibrations())


@pytest.fixture(scope="session")
def restorable(calibrations):
    """The uid of an MOUS that can be restored."""
    return next(each.mous_uid for each in calibrations if eligibility.judge(each).restorable)


@pytest.fixture(scope="session")
def manual(calibrations):
    """The uid of an MOUS that was calibrated by hand."""
    return next(each.mous_uid for each in calibrations if eligibility.judge(each).code == "manual_calibration")
