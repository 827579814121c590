"""clean_spool: what is due is told and removed, what is not stays; nobody waits for a lost restore for ever."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from alma_restore.catalogue import requests
from alma_restore.delivery.destination import delivery_name
from alma_restore.request import RestoreRequest
from alma_restore.restore import housekeeping
from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X1284/X266")
NOW = datetime.now(timezone.utc)


@pytest.fixture
def house(home, catalogue):
    from alma_restore.orchestration.open_house import open_house

    return open_house()


@pytest.fixture
def opened(house, monkeypatch):
    """Open a request so many hours ago, with a workspace, in its first stage."""

    def open_one(hours=0.0, run_id=None):
        monkeypatch.setattr(requests, "utc_now", lambda: NOW - timedelta(hours=hours))
        record = house.catalogue.open_request(RestoreRequest(mous_uid=MOUS, email="astronomer@example.org"), run_id)
        workspace = house.settings.spool_root / f"workspace-{record.id}"
        (workspace / "rawdata").mkdir(parents=True)
        house.catalogue.set_workspace(record.id, str(workspace))
        house.catalogue.start_stage(record.id, "fetch_asdm")
        return house.catalogue.get(record.id)

    yield open_one
    monkeypatch.undo()


@pytest.fixture
def delivered(house, opened):
    """A delivery that expires in so many days."""

    def deliver(expires_in):
        record = opened()
        folder = house.settings.delivery_root / delivery_name(MOUS, record.id)
        folder.mkdir(parents=True)
        (folder / "SHA256SUMS").write_text("")
        house.catalogue.record_delivery(
            record.id,
            destination=str(folder.parent),
            path=str(folder),
            size_bytes=1,
            files=1,
            sha256="0" * 64,
            expires_at=NOW + timedelta(days=expires_in),
        )
        return house.catalogue.finish(record.id), folder

    return deliver


def test_the_requester_is_told_once_before_the_delivery_goes(house, delivered, mails):
    delivered(expires_in=1)
    delivered(expires_in=20)
    housekeeping.warn_before_expiry(house)
    housekeeping.warn_before_expiry(house)
    (mail,) = mails.mails()
    assert "about to expire" in mail["Subject"]


def test_only_what_is_beyond_its_time_is_removed(house, delivered):
    (old, old_folder), (new, new_folder) = delivered(expires_in=-1), delivered(expires_in=1)
    housekeeping.expire_deliveries(house)
    assert (old_folder.exists(), new_folder.exists()) == (False, True)
    assert house.catalogue.get(old.id).state == "expired"
    assert house.catalogue.get(new.id).state == "delivered"


def test_a_request_whose_run_is_gone_ends_as_failed_and_its_asker_is_told(house, opened, mails):
    lost, fresh, active = opened(hours=3, run_id="lost"), opened(run_id="fresh"), opened(hours=3, run_id="active")
    housekeeping.end_lost_requests(house, is_active=lambda run_id: run_id == "active")
    assert [house.catalogue.get(each.id).state for each in (lost, fresh, active)] == ["failed", "running", "running"]
    assert "fetch_asdm" in house.catalogue.get(lost.id).reason
    assert len(mails.mails()) == 1


def test_workspaces_of_requests_that_ended_long_ago_go_and_others_stay(house, opened, monkeypatch):
    old, recent, running = opened(hours=24 * 9), opened(hours=24), opened(hours=24 * 9)
    for record, hours in ((old, 24 * 8), (recent, 23)):
        monkeypatch.setattr(requests, "utc_now", lambda ago=hours: NOW - timedelta(hours=ago))
        house.catalogue.cancel(record.id)
    housekeeping.remove_old_workspaces(house)
    assert [Path(each.workspace).exists() for each in (old, recent, running)] == [False, True, True]


def test_a_path_outside_the_spool_is_never_removed(house, opened, tmp_path, monkeypatch):
    record = opened(hours=24 * 9)
    precious = tmp_path / "precious"
    precious.mkdir()
    house.catalogue.set_workspace(record.id, str(precious))
    house.catalogue.cancel(record.id)
    housekeeping.remove_old_workspaces(house)
    assert precious.exists()


def test_the_dag_runs_through_when_there_is_nothing_to_do(dag_of, house):
    assert dag_of("clean_spool").test().state == "success"
