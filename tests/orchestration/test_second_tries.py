"""A restore that is tried again: a run of CASA that has ended well counts only for what it has read, while it is good.

A shell script stands in for CASA: it leaves MeasurementSets that nothing can read.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from alma_restore import settings
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import CasaFailed, Corrupt, DeliveryFailed, NotAvailable
from alma_restore.orchestration.open_house import open_house
from alma_restore.request import RestoreRequest
from alma_restore.restore import calibrating, closing, fetching, opening
from alma_restore.restore.house import House
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

ONE_EB = Uid("uid://A001/X1284/X266")
EB = Uid("uid://A002/Xcc8b1f/X2d1a")
TOY_CASA = """\
[[installation]]
name = "toy"
engine = "casatasks"
casa_version = "99.0.0"
python = {python}
command = ["sh", "-c", "mkdir {ms}; touch {ms}/table.dat", "{{ppr}}"]
"""


@pytest.fixture
def looking(tmp_path: Path) -> Path:
    """The Python that looks into MeasurementSets; a test puts in its place what it likes."""
    return tmp_path / "python"


@pytest.fixture(params=["mous", "eb"])
def house(
    request: pytest.FixtureRequest,
    home: Path,
    catalogue: Catalogue,
    casa_python: Path,
    looking: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> House:
    looks_with(looking, f'exec {casa_python} "$@"')
    toy = TOY_CASA.format(python=json.dumps(str(looking)), ms=f"{EB.sanitised}.ms")
    (tmp_path / "casa.toml").write_text(toy)
    monkeypatch.setenv("ALMA_RESTORE_CASA__INSTALLATIONS", str(tmp_path / "casa.toml"))
    monkeypatch.setenv("ALMA_RESTORE_CASA__JOBS", request.param)
    settings.settings.cache_clear()
    return open_house()


@pytest.fixture
def request_id(house: House) -> str:
    return house.catalogue.open_request(RestoreRequest(mous_uid=ONE_EB), "a_run").id


def looks_with(python: Path, script: str) -> None:
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def prepare(house: House, request_id: str) -> Workspace:
    """All stages before CASA."""
    house.catalogue.start_stage(request_id, "open_request")
    opening.admit(house, request_id)
    workspace = opening.prepare(house, request_id)
    fetching.fetch_asdm(house, request_id, EB)
    fetching.fetch_products(house, request_id)
    calibrating.stage(house, request_id)
    return workspace


def run_casa(house: House, request_id: str) -> str:
    """The name of the attempt that counts, when it has ended well."""
    (uid,) = calibrating.write_ppr(house, request_id)
    handle = calibrating.start_casa(house, request_id, uid)
    state = calibrating.watch_casa(house, request_id, uid, handle, lambda _: None)
    calibrating.finish_casa(house, request_id, uid, state)
    return Path(handle.folder).name


def deliver_anew(archive: Path) -> None:
    """The archive gets another calibration under the names of the first one."""
    (calapply,) = (archive / "ngas").glob(f"*{EB.sanitised}*.calapply.txt")
    calapply.write_text(calapply.read_text().replace("calwt=[True", "calwt=[False"))
    with sqlite3.connect(archive / "metadata.sqlite") as database:
        new = (calapply.stat().st_size, calapply.name)
        changed = database.execute("UPDATE ASA_PRODUCT_FILES SET STORED_SIZE=? WHERE TRIM(NGAS_FILE_ID)=?", new)
        assert changed.rowcount == 1


@pytest.mark.parametrize(("anew", "attempt"), [(True, "attempt-2"), (False, "attempt-1")])
def test_a_calibration_that_was_delivered_anew_is_restored_with(
    house: House, request_id: str, archive: Path, anew: bool, attempt: str
) -> None:
    prepare(house, request_id)
    assert run_casa(house, request_id) == "attempt-1"
    house.catalogue.fail(request_id, DeliveryFailed("The disk is full."), "deliver")
    closing.close(house, request_id)
    if anew:
        deliver_anew(archive)
    house.catalogue.reopen(request_id, "Asked to run again.")
    prepare(house, request_id)
    assert run_casa(house, request_id) == attempt


def test_a_measurement_set_that_verification_rejects_is_made_anew(house: House, request_id: str) -> None:
    prepare(house, request_id)
    run_casa(house, request_id)
    with pytest.raises(CasaFailed, match="could not be read"):
        calibrating.verify(house, request_id)
    assert run_casa(house, request_id) == "attempt-2"
    assert run_casa(house, request_id) == "attempt-2"


def test_what_was_made_of_raw_data_that_are_damaged_is_made_anew(house: House, request_id: str) -> None:
    workspace = prepare(house, request_id)
    run_casa(house, request_id)
    binary = next((workspace.rawdata / EB.sanitised / "ASDMBinary").iterdir())
    binary.write_bytes(binary.read_bytes()[:100])
    with pytest.raises(Corrupt):
        calibrating.verify(house, request_id)
    fetching.fetch_asdm(house, request_id, EB)
    assert run_casa(house, request_id) == "attempt-2"


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_verification_that_is_killed_rejects_nothing(
    house: House, request_id: str, looking: Path, signal: str
) -> None:
    prepare(house, request_id)
    run_casa(house, request_id)
    looks_with(looking, f"kill -{signal} $$")
    with pytest.raises(NotAvailable, match="was killed"):
        calibrating.verify(house, request_id)
    assert run_casa(house, request_id) == "attempt-1"
