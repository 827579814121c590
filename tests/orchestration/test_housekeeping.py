"""clean_spool: what is due is told and removed, what is not stays; nobody waits for a lost restore for ever."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psutil
import pytest

from alma_restore import settings
from alma_restore.casa import job
from alma_restore.casa.installation import Installation
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.catalogue import requests
from alma_restore.catalogue.engine import utc_now
from alma_restore.delivery import folder as delivery_folder
from alma_restore.delivery.destination import delivery_name
from alma_restore.delivery.folder import beside
from alma_restore.errors import Misconfigured
from alma_restore.request import RestoreRequest
from alma_restore.restore import calibrating, closing, housekeeping, telling
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

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


def test_everybody_who_joined_is_told_each_alone_and_once(house, opened, mails):
    record = opened(run_id="run")
    telling.join(house, record.id, "bob", "bob@example.net")
    telling.join(house, record.id, "bob", "bob@example.net")
    telling.join(house, record.id, "eve", "")
    assert mails.mails() == []
    closing.close(house, record.id, stopped="Stopped by its asker.")
    closing.close(house, record.id, stopped="Stopped by its asker.")
    telling.join(house, record.id, "cyd", "cyd@example.net")  # it has ended: told at once
    told = mails.mails()
    assert [mail["To"] for mail in told] == ["astronomer@example.org", "bob@example.net", "cyd@example.net"]
    for mail in told:
        text = mail.get_body(("plain",)).get_content()
        assert text.startswith("The restore is cancelled")
        assert [other["To"] for other in told if str(other["To"]) in text] == []
    house.catalogue.reopen(record.id, "Tried again.")
    house.catalogue.start_stage(record.id, "fetch_asdm")
    closing.close(house, record.id)
    assert [mail["Subject"].rpartition(": ")[2] for mail in mails.mails()] == ["cancelled"] * 3 + ["failed"] * 3


def test_what_a_killed_delivery_left_goes_with_the_end_of_its_request(house, opened):
    record = opened(run_id="run")
    house.catalogue.start_stage(record.id, "deliver")
    left = beside(house.settings.delivery_root / delivery_name(MOUS, record.id), "part")
    (left / "calibrated").mkdir(parents=True)
    closing.close(house, record.id)
    assert house.catalogue.get(record.id).state == "failed"
    assert list(house.settings.delivery_root.iterdir()) == []


def test_a_delivery_folder_that_nobody_can_clear_up_keeps_no_request_from_its_end(house, opened, monkeypatch):
    record = opened(run_id="run")
    house.catalogue.start_stage(record.id, "deliver")
    house.settings.delivery_root.mkdir(parents=True, exist_ok=True)
    left = beside(house.settings.delivery_root / delivery_name(MOUS, record.id), "part")
    left.mkdir()

    def refuse(path):
        raise OSError("Read-only file system")

    monkeypatch.setattr(delivery_folder, "remove", refuse)
    assert closing.close(house, record.id).state == "failed"
    assert any("is not cleared up" in line.note for line in house.catalogue.history(record.id))


def test_what_could_not_be_mailed_is_mailed_later_once_and_not_for_ever(house, opened, mails, monkeypatch):
    waiting, long_ago, told = opened(hours=5), opened(hours=24 * 9), opened(hours=5)
    for record, hours in ((waiting, 4), (long_ago, 24 * 8), (told, 4)):
        monkeypatch.setattr(requests, "utc_now", lambda ago=hours: NOW - timedelta(hours=ago))
        house.catalogue.fail(record.id, Misconfigured("The archive is closed."), "fetch_asdm")
    monkeypatch.setattr(requests, "utc_now", utc_now)
    telling.tell_end(house, house.catalogue.get(told.id))
    assert len(mails.mails()) == 1

    def is_down(_):
        raise OSError("Connection refused")

    assert "Connection refused" in housekeeping.tell_ends_again(replace(house, send_mail=is_down))[0]
    assert len(housekeeping.tell_ends_again(house)) == 1
    assert housekeeping.tell_ends_again(house) == []
    assert len(mails.mails()) == 2
    assert any("Mailed" in line.note for line in house.catalogue.history(waiting.id))


def test_who_asks_is_told_that_it_begins_detection_tells_nobody(house, mails):
    for origin in ("hand", "detection"):
        asked = RestoreRequest(mous_uid=MOUS, email=f"{origin}@example.org", origin=origin)
        telling.tell_accepted(house, house.catalogue.open_request(asked).id)
    assert [mail["To"] for mail in mails.mails()] == ["hand@example.org"]


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


def test_a_spool_that_takes_nothing_keeps_no_request_from_its_end(house, opened, mails, monkeypatch):
    """As after an error of its disk: no order to stop CASA can be written there, and nothing be removed."""
    stuck = [opened(hours=hours, run_id=f"lost {hours}") for hours in (5, 3)]

    def refuse(*_):
        raise OSError("Read-only file system")

    monkeypatch.setattr(calibrating, "cancel_casa", refuse)
    monkeypatch.setattr(Workspace, "remove", refuse)
    monkeypatch.setenv("ALMA_RESTORE_KEEP_WORKSPACE", "never")
    housekeeping.end_lost_requests(house, is_active=lambda _: False)
    assert [house.catalogue.get(each.id).state for each in stuck] == ["failed", "failed"]
    assert len(mails.mails()) == 2
    notes = [line.note for line in house.catalogue.history(stuck[0].id)]
    assert any("CASA cannot be stopped yet. Read-only file system" in note for note in notes)


def test_one_lost_request_that_cannot_be_ended_keeps_no_other(house, opened, monkeypatch):
    broken, other = (opened(hours=hours, run_id=f"lost {hours}") for hours in (5, 3))
    tell_end = telling.tell_end

    def tell(house, record):
        if record.id == broken.id:
            raise OSError("Input/output error")
        return tell_end(house, record)

    monkeypatch.setattr(telling, "tell_end", tell)
    with pytest.raises(Misconfigured, match=f"1 requests .* cannot be ended: {broken.id}: Input/output error"):
        housekeeping.end_lost_requests(house, is_active=lambda _: False)
    assert house.catalogue.get(other.id).state == "failed"


def test_a_workspace_that_cannot_be_removed_keeps_no_restore_from_its_end(house, delivered, monkeypatch):
    record, _ = delivered(expires_in=1)

    def refuse(_):
        raise OSError("Read-only file system")

    monkeypatch.setattr(Workspace, "remove", refuse)
    assert closing.close(house, record.id).state == "delivered"
    assert any("stays until it can be removed" in line.note for line in house.catalogue.history(record.id))


def test_workspaces_of_requests_that_ended_long_ago_go_and_others_stay(house, opened, monkeypatch):
    old, recent, running = opened(hours=24 * 9), opened(hours=24), opened(hours=24 * 9)
    for record, hours in ((old, 24 * 8), (recent, 23)):
        monkeypatch.setattr(requests, "utc_now", lambda ago=hours: NOW - timedelta(hours=ago))
        house.catalogue.cancel(record.id)
    housekeeping.remove_old_workspaces(house)
    assert [Path(each.workspace).exists() for each in (old, recent, running)] == [False, True, True]
    told = [house.catalogue.get(each.id).workspace for each in (old, recent, running)]
    assert told == ["", recent.workspace, running.workspace], "tried again, it must not look for what is gone"


def test_a_workspace_that_cannot_be_removed_keeps_no_other(house, opened, monkeypatch):
    records = [opened(hours=24 * age) for age in (11, 10, 9)]
    monkeypatch.setattr(requests, "utc_now", lambda: NOW - timedelta(hours=24 * 8))
    for record in records:
        house.catalogue.cancel(record.id)
    newest, remove = Path(records[-1].workspace), Workspace.remove

    def refuse(workspace):
        if workspace.root == newest:
            raise OSError("Device or resource busy")
        remove(workspace)

    monkeypatch.setattr(Workspace, "remove", refuse)
    with pytest.raises(Misconfigured, match=f"1 workspaces cannot be removed: {newest}: Device or resource busy"):
        housekeeping.remove_old_workspaces(house)
    assert [Path(record.workspace).exists() for record in records] == [False, False, True]


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


@pytest.fixture
def on_a_silent_host(opened, monkeypatch):
    """A request whose CASA runs on a host that does not answer, and the keeper of that run."""
    monkeypatch.setenv("ALMA_RESTORE_CASA__HOST_SILENT_S", "0.5")
    monkeypatch.setenv("ALMA_RESTORE_KEEP_WORKSPACE", "never")
    settings.settings.cache_clear()
    record = opened(hours=3)
    workspace = Workspace(Path(record.workspace)).create({})
    workspace.ppr.write_text("<PPR/>")
    casa = Installation(
        name="toy", engine="casatasks", casa_version="6.7.0", command=("sh", "-c", "sleep 300", "sh", "{ppr}")
    )
    its_host = LocalLauncher(host="vanished")
    handle = job.start_or_attach(its_host, casa, workspace, settings.settings().casa)
    keeper = psutil.Process(int(handle.job_id))
    keeper.suspend()
    time.sleep(0.6)
    yield record, keeper
    its_host.cancel(handle)


def test_a_request_ends_at_once_though_its_casa_host_is_silent_and_is_cleaned_up_later(
    on_a_silent_host, home, catalogue, mails
):
    from alma_restore.orchestration.open_house import open_house

    (record, keeper), house = on_a_silent_host, open_house()
    closing.close(house, record.id, stopped="The run was marked failed in Airflow during run_casa.")
    assert house.catalogue.get(record.id).state == "cancelled"
    notes = [line.note for line in house.catalogue.history(record.id)]
    assert "The run was marked failed in Airflow during run_casa." in notes
    assert any("vanished, which does not answer" in note for note in notes)
    assert housekeeping.remove_old_workspaces(house) == []
    assert Path(record.workspace).exists()
    keeper.resume()
    keeper.wait(60)
    assert housekeeping.remove_old_workspaces(house) == [record.workspace]


def test_a_request_that_waits_for_its_run_is_not_lost(house, opened):
    waiting = opened(hours=3)
    assert house.catalogue.get(waiting.id).run_id is None
    assert housekeeping.end_lost_requests(house, is_active=lambda _: False) == []


def test_what_is_tried_again_while_others_are_removed_keeps_its_workspace(house, opened, monkeypatch):
    records = [opened(hours=24 * age) for age in (11, 10)]
    monkeypatch.setattr(requests, "utc_now", lambda: NOW - timedelta(hours=24 * 8))
    for record in records:
        house.catalogue.cancel(record.id)
    oldest, remove = records[0], Workspace.remove

    def remove_and_try_again(workspace):
        remove(workspace)
        house.catalogue.reopen(oldest.id, "Tried again.")

    monkeypatch.setattr(Workspace, "remove", remove_and_try_again)
    housekeeping.remove_old_workspaces(house)
    assert [Path(record.workspace).exists() for record in records] == [True, False]
