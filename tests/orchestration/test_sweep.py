"""The sweep: it finds exactly what the windows missed, in as many pieces as it takes."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta, timezone

import pytest

from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.errors import NotAvailable
from alma_restore.restore import detecting, sweeping

MAIN = "uid://A001/X12d1/X23e"


@pytest.fixture
def house(home, catalogue):
    from alma_restore.orchestration.open_house import open_house

    return open_house()


@pytest.fixture
def change(archive):
    def execute(sql, *values):
        with sqlite3.connect(archive / "metadata.sqlite") as connection:
            assert connection.execute(sql, values).rowcount > 0

    return execute


def detect(house):
    now = datetime.now(timezone.utc) + timedelta(minutes=1)
    return detecting.detect(house, now, now, backfill=False)


def ask_for(house, restores):
    from alma_restore.restore import opening

    for each in restores:
        opening.store_request(house, each.conf, each.run_id)


def test_after_detection_a_sweep_finds_nothing_new(house):
    ask_for(house, detect(house))
    assert sweeping.sweep(house, time_limit_s=60) == []
    assert len(house.catalogue.calibrations()) == len(DEMO_MOUSS)


def test_a_sweep_finds_what_no_window_showed(house, change):
    change("DELETE FROM STATE_CHANGES")  # no date: in no window
    assert detect(house) == []
    found = sweeping.sweep(house, time_limit_s=60)
    assert {each.conf["mous_uid"] for each in found} == {mous.uid for mous in DEMO_MOUSS if mous.restorable}


@pytest.mark.parametrize(
    "behind_the_back",
    [
        "UPDATE ASA_PRODUCT_FILES SET STORED_SIZE = STORED_SIZE + 1 WHERE ASA_OUS_ID LIKE 'uid://A001/X12d1/X23e%'",
        "DELETE FROM ASA_PRODUCT_FILES WHERE ASA_OUS_ID LIKE 'uid://A001/X12d1/X23e%' AND NGAS_FILE_ID LIKE '%README%'",
        "UPDATE AQUA_EXECBLOCK SET QA0STATUS = 'SemiPass' WHERE EXECBLOCKUID LIKE 'uid://A002/Xd248b5/Xcc1%'",
    ],
    ids=["re-delivered", "fewer files", "QA0 changed"],
)
def test_a_change_behind_the_back_is_a_new_calibration_with_a_run_of_its_own(house, change, behind_the_back):
    first = detect(house)
    ask_for(house, first)
    change(behind_the_back)
    (again,) = sweeping.sweep(house, time_limit_s=60)
    assert again.conf["mous_uid"] == MAIN
    assert again.run_id not in {each.run_id for each in first}


def test_a_sweep_that_runs_out_of_time_goes_on_where_it_stopped(house, monkeypatch):
    monkeypatch.setattr(sweeping, "_A_BATCH", 2)
    seen = []
    for _ in range(10):
        sweeping.sweep(house, time_limit_s=0)
        seen.append(len(house.catalogue.calibrations()))
        if not house.catalogue.cursor(sweeping.CURSOR):
            break
    assert seen[:4] == [2, 4, 6, 7]
    assert house.catalogue.cursor(sweeping.CURSOR) == ""


def test_a_sweep_that_breaks_off_loses_nothing_that_it_found(house, monkeypatch):
    everything = house.archive.metadata.all_calibrations

    def breaks_off(after):
        yield from list(everything(after))[:5]
        raise NotAvailable("The archive's database does not answer.")

    monkeypatch.setattr(sweeping, "_A_BATCH", 5)
    with monkeypatch.context() as broken:
        broken.setattr(type(house.archive.metadata), "all_calibrations", lambda _, after: breaks_off(after))
        with pytest.raises(NotAvailable):
            sweeping.sweep(house, time_limit_s=60)
    assert house.catalogue.cursor(sweeping.CURSOR)
    found = sweeping.sweep(house, time_limit_s=60)
    assert {each.conf["mous_uid"] for each in found} == {mous.uid for mous in DEMO_MOUSS if mous.restorable}
