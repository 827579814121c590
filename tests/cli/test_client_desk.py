"""The desk: restores are asked for, followed, stopped and run again, with and without the catalogue in reach."""

from __future__ import annotations

import threading
import time

import pytest
from fake_airflow import TASKS

from alma_restore.client import desk as desks
from alma_restore.client.desk import Desk
from alma_restore.client.reach import reachable_catalogue
from alma_restore.errors import CasaFailed, NotAvailable, Refused
from alma_restore.request import RestoreRequest
from alma_restore.settings import settings

MOUS = "uid://A001/X12d1/X23e"
RUN = "restore__key"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(desks, "POLL_S", 0.01)


@pytest.fixture
def asked() -> RestoreRequest:
    return RestoreRequest(mous_uid=MOUS, correlation_id="key", email="ada@example.org", origin="command")


@pytest.fixture
def opened(desk, catalogue, asked):
    """A request whose first task has stored it."""
    desk.request(asked)
    return catalogue.open_request(asked, RUN)


def test_asking_starts_a_run_that_says_what_was_asked(airflow, desk, asked):
    told, is_new = desk.request(asked)
    assert is_new
    assert (told.state, told.run_id, told.mous_uid) == ("accepted", RUN, MOUS)
    assert airflow.runs[RUN]["conf"] == asked.as_conf()
    assert desk.status(RUN).state == "accepted"  # Airflow tells, as long as nothing is stored


def test_asking_twice_under_one_correlation_id_is_one_restore(airflow, desk, opened, asked):
    told, is_new = desk.request(asked)
    assert not is_new
    assert told.request_id == opened.id
    assert len(airflow.runs) == 1


def test_asking_while_the_dag_is_paused_is_refused_for_nothing_would_happen(airflow, desk, asked):
    airflow.paused = True
    with pytest.raises(Refused, match="restore_mous is paused"):
        desk.request(asked)
    assert not airflow.runs


def test_a_restore_is_found_by_everything_it_is_known_by(desk, opened):
    for which in (opened.id, str(opened.number), "key", RUN, MOUS, "uid___A001_X12d1_X23e"):
        assert desk.status(which).request_id == opened.id


def test_a_number_of_several_restores_names_them(desk, catalogue, opened, monkeypatch):
    monkeypatch.setattr(type(catalogue), "numbered", lambda *_: (opened, opened))
    with pytest.raises(Refused, match=f"several restores: {opened.id}") as refused:
        desk.status(str(opened.number))
    assert refused.value.code == "ambiguous"


@pytest.mark.parametrize("which", ["nobody", "12345", "uid://A001/X1/X1", ""])
def test_what_nobody_knows_is_refused(desk, remote_desk, which):
    for each in (desk, remote_desk):
        with pytest.raises(Refused) as refused:
            each.status(which)
        assert refused.value.code == "unknown_request"


def test_the_catalogue_tells_stage_reason_and_what_was_delivered(desk, catalogue, opened):
    catalogue.start_stage(opened.id, "run_casa")
    assert (desk.status("key").stage, round(desk.status("key").progress, 2)) == ("run_casa", 0.67)
    catalogue.finish(opened.id, ["CASA differs."])
    catalogue.record_delivery(
        opened.id, destination="", path="/deliveries/1", size_bytes=7, files=1, sha256="", expires_at=None
    )
    told = desk.status("key")
    assert (told.state, told.progress, told.warnings) == ("delivered_with_warnings", 1.0, ("CASA differs.",))
    assert (told.delivered_to, told.size_bytes, told.told_by) == ("/deliveries/1", 7, "catalogue")
    assert told.as_json()["created_at"] == opened.created_at.isoformat()


def test_airflow_tells_where_the_catalogue_is_out_of_reach(airflow, remote_desk, asked):
    remote_desk.request(asked)
    airflow.run_goes(RUN, "running", open_request="success", fetch_products="success", fetch_asdm="running")
    airflow.xcoms[RUN, "open_request", "opened"] = {
        "request_id": "abcdef01-2345-4678-9abc-def012345678",
        "workspace": "/spool/uid___A002_Xd248b5_Xa7a",
    }
    for which in (RUN, "key", MOUS):
        told = remote_desk.status(which)
        assert (told.state, told.stage, told.progress, told.told_by) == ("running", "fetch_asdm", 0.25, "airflow")
        assert (told.number, told.workspace) == (0xABCDEF0, "/spool/uid___A002_Xd248b5_Xa7a")
        assert (told.email, told.mous_uid) == ("ada@example.org", MOUS)


def test_a_run_that_was_marked_failed_before_it_began_is_not_called_delivered(airflow, remote_desk, asked):
    remote_desk.request(asked)
    airflow.run_goes(RUN, "success", open_request="skipped", deliver="skipped", close_request="success")
    assert remote_desk.status(RUN).state == "cancelled"


def test_a_list_tells_what_was_cancelled_as_its_status_does(airflow, remote_desk):
    for number in range(130):
        request = RestoreRequest(mous_uid=MOUS, correlation_id=f"{number:03}")
        remote_desk.request(request)
        airflow.runs[request.run_id]["run_after"] = f"2026-11-23T19:{number // 60:02}:{number % 60:02}Z"
        airflow.run_goes(request.run_id, "success", **dict.fromkeys(TASKS, "success"))
    for cancelled in ("restore__007", "restore__128"):
        airflow.run_goes(cancelled, "success", run_casa="failed", verify="skipped", deliver="skipped")
    airflow.calls.clear()
    told = remote_desk.restores(limit=1000)
    assert [each.run_id for each in told if each.state == "cancelled"] == ["restore__128", "restore__007"]
    assert {each.state for each in told} == {"cancelled", "delivered"}
    assert len(airflow.calls) == 4  # two for each hundred runs
    assert remote_desk.restores(limit=2)[1] == told[1]
    assert remote_desk.status("restore__128").state == "cancelled"
    assert [each.progress for each in told[:2]] == [1.0, 0.0]
    assert [each.run_id for each in remote_desk.restores(states=["cancelled"])] == ["restore__128", "restore__007"]
    assert len(remote_desk.restores(states=["delivered"], limit=1000)) == 128


def test_the_newest_restores_come_first_and_fit(airflow, desk, remote_desk, catalogue):
    for number in range(3):
        request = RestoreRequest(mous_uid=f"uid://A001/X1/X{number}", correlation_id=f"{number}", email="a@example.org")
        desk.request(request)
        catalogue.open_request(request, request.run_id)
    catalogue.cancel(catalogue.by_correlation_id("1").id)
    airflow.runs["restore__1"]["state"] = "failed"
    assert [told.correlation_id for told in desk.restores(limit=2)] == ["2", "1"]
    assert [told.correlation_id for told in desk.restores(states=["cancelled"])] == ["1"]
    assert [told.correlation_id for told in remote_desk.restores(limit=2)] == ["2", "1"]
    assert [told.correlation_id for told in remote_desk.restores(states=["failed"])] == ["1"]
    for each in (desk, remote_desk):
        assert [told.correlation_id for told in each.restores(uid="uid://A001/X1/X0")] == ["0"]
        assert each.restores(email="b@example.org") == []


@pytest.fixture
def of_another_mous(airflow, remote_desk, asked):
    """Newer restores of MOUSs whose uid begins with that of ours, more than Airflow tells at once."""
    remote_desk.request(asked)
    for number in range(120):
        remote_desk.request(RestoreRequest(mous_uid=f"{MOUS}{number:x}", correlation_id=f"other-{number}"))
    return [run_id for run_id in airflow.runs if run_id != RUN]


@pytest.mark.parametrize("which", [MOUS, "uid___A001_X12d1_X23e"])
def test_an_mous_is_not_taken_for_one_whose_uid_goes_on(airflow, remote_desk, of_another_mous, which):
    assert remote_desk.status(which).run_id == RUN
    assert [told.run_id for told in remote_desk.restores(uid=which)] == [RUN]
    remote_desk.cancel(which)
    remote_desk.retry(which)
    assert airflow.runs[RUN]["note"]
    assert not any(airflow.runs[run_id]["note"] for run_id in of_another_mous)


def test_an_execution_block_is_found_beside_those_whose_uid_goes_on(remote_desk):
    for number in (1, 10):
        remote_desk.request(RestoreRequest(eb_uid=f"uid://A002/X1/X{number}", correlation_id=f"{number}"))
    assert remote_desk.status("uid://A002/X1/X1").run_id == "restore__1"
    assert [told.run_id for told in remote_desk.restores(uid="uid://A002/X1/X1")] == ["restore__1"]


def test_as_many_are_listed_as_are_wanted(remote_desk, of_another_mous):
    assert len(remote_desk.restores(limit=110)) == 110
    assert len(remote_desk.restores(limit=1000)) == 121


def test_cancelling_stops_the_run_and_is_stored(airflow, desk, catalogue, opened):
    catalogue.start_stage(opened.id, "run_casa")
    assert desk.cancel("key", "Not needed.").state == "cancelled"
    assert airflow.runs[RUN]["state"] == "failed"
    assert airflow.runs[RUN]["note"] == "Not needed."
    assert catalogue.history(opened.id)[-1].note == "Not needed."
    with pytest.raises(Refused, match="is cancelled"):
        desk.cancel("key")


def test_a_cancel_that_airflow_did_not_hear_of_can_be_repeated(airflow, desk, catalogue, opened):
    catalogue.cancel(opened.id)
    airflow.run_goes(RUN, "running")
    assert desk.cancel("key").state == "cancelled"
    assert airflow.runs[RUN]["state"] == "failed"


def test_who_may_not_cancel_changes_nothing(airflow, desk, catalogue, opened):
    airflow.may_trigger = False
    with pytest.raises(Refused, match="Forbidden"):
        desk.cancel("key")
    assert catalogue.get(opened.id).state == "accepted"


def test_a_restore_that_ended_while_it_was_being_cancelled_keeps_its_end(airflow, desk, catalogue, opened, monkeypatch):
    catalogue.start_stage(opened.id, "deliver")
    monkeypatch.setattr(desk.airflow, "note", lambda *_: catalogue.finish(opened.id))
    assert desk.cancel("key").state == "delivered"
    assert airflow.runs[RUN]["state"] == "queued"


def test_a_restore_whose_run_was_deleted_can_be_cancelled(airflow, desk, catalogue, opened):
    airflow.runs.clear()
    assert desk.cancel("key").state == "cancelled"
    assert catalogue.get(opened.id).state == "cancelled"


def test_cancelling_works_without_the_catalogue(airflow, remote_desk, asked):
    remote_desk.request(asked)
    assert remote_desk.cancel("key").state == "cancelled"
    assert airflow.runs[RUN]["state"] == "failed"


def test_a_retry_runs_what_was_not_done_and_what_follows(airflow, desk, catalogue, opened):
    catalogue.set_workspace(opened.id, "/spool/uid___A002_Xd248b5_Xa7a")
    catalogue.start_stage(opened.id, "fetch_asdm")
    with pytest.raises(Refused, match="has not ended"):
        desk.retry("key")
    catalogue.fail(opened.id, NotAvailable("NGAS is away."), "fetch_asdm")
    airflow.run_goes(RUN, "failed", open_request="success", fetch_products="success")
    airflow.tasks[RUN] |= {("fetch_asdm", 0): "success", ("fetch_asdm", 1): "failed", ("close_request", -1): "success"}
    del airflow.tasks[RUN]["fetch_asdm", -1]
    assert desk.retry("key").state == "accepted"
    done = [marker for marker, state in airflow.tasks[RUN].items() if state == "success"]
    assert done == [("open_request", -1), ("fetch_products", -1), ("fetch_asdm", 0)]


@pytest.mark.parametrize("end", ["cancelled", "from start"])
def test_a_cancelled_restore_and_one_from_its_start_do_everything_anew(airflow, desk, catalogue, opened, end):
    airflow.run_goes(RUN, "failed", open_request="success")
    if end == "cancelled":
        catalogue.cancel(opened.id)
    else:
        catalogue.fail(opened.id, CasaFailed("It crashed."), "run_casa")
    desk.retry("key", from_start=end == "from start")
    assert set(airflow.tasks[RUN].values()) == {None}


@pytest.mark.parametrize("removed_after_s", [0, 0.1])
def test_a_retry_does_everything_anew_once_the_workspace_is_gone(airflow, desk, catalogue, opened, removed_after_s):
    catalogue.set_workspace(opened.id, "/spool/uid___A002_Xd248b5_Xa7a")
    catalogue.fail(opened.id, CasaFailed("It crashed."), "run_casa")
    airflow.run_goes(RUN, "running", open_request="success", fetch_asdm="success", close_request="running")

    def remove():
        catalogue.set_workspace(opened.id, "")
        airflow.run_goes(RUN, "failed", close_request="success")

    cleaning = threading.Timer(removed_after_s, remove)
    cleaning.start()
    if not removed_after_s:
        cleaning.join()
    desk.retry("key")
    assert set(airflow.tasks[RUN].values()) == {None}


def test_a_retry_waits_for_the_clean_up_of_the_attempt_before(airflow, desk, catalogue, opened, monkeypatch):
    catalogue.fail(opened.id, CasaFailed("It crashed."), "run_casa")
    airflow.run_goes(RUN, "running", close_request="running")
    threading.Timer(0.1, airflow.run_goes, (RUN, "failed"), {"close_request": "success"}).start()
    assert desk.retry("key").state == "accepted"
    assert airflow.tasks[RUN]["close_request", -1] is None
    catalogue.fail(opened.id, CasaFailed("It crashed."), "run_casa")
    airflow.run_goes(RUN, "running")
    monkeypatch.setattr(desks, "CLEAN_UP_S", 0.05)
    with pytest.raises(NotAvailable, match="still cleaning up"):
        desk.retry("key")


def test_a_restore_whose_run_was_deleted_cannot_be_run_again(airflow, desk, catalogue, opened):
    catalogue.cancel(opened.id)
    airflow.runs.clear()
    with pytest.raises(Refused, match="no Airflow run any more"):
        desk.retry("key")


def test_a_delivered_restore_is_repeated_only_from_its_start(airflow, desk, catalogue, opened):
    catalogue.start_stage(opened.id, "deliver")
    catalogue.finish(opened.id)
    airflow.run_goes(RUN, "success")
    with pytest.raises(Refused, match="is delivered"):
        desk.retry("key")
    desk.retry("key", from_start=True)
    assert airflow.runs[RUN]["state"] == "queued"


def test_waiting_tells_each_step_and_ends_with_the_end(desk, catalogue, opened):
    def go():
        for stage in ("open_request", "fetch_asdm", "run_casa"):
            catalogue.start_stage(opened.id, stage)
            time.sleep(0.1)
        catalogue.finish(opened.id)

    steps = []
    worker = threading.Thread(target=go)
    worker.start()
    end = desk.wait("key", on_change=lambda told: steps.append(told.stage))
    worker.join()
    assert end.state == "delivered"
    assert [stage for stage in dict.fromkeys(steps) if stage] == ["open_request", "fetch_asdm", "run_casa"]


def test_waiting_outlives_an_airflow_that_is_away_for_a_while(airflow, remote_desk, asked):
    remote_desk.request(asked)
    airflow.down = True

    def come_back():
        airflow.run_goes(RUN, "success")
        airflow.down = False

    threading.Timer(0.1, come_back).start()
    assert remote_desk.wait("key").state == "delivered"


def test_waiting_ends_when_nobody_answers_for_long(airflow, remote_desk, monkeypatch):
    monkeypatch.setattr(desks, "PATIENCE_S", 0.05)
    airflow.down = True
    with pytest.raises(NotAvailable, match="503"):
        remote_desk.wait("key")


def test_waiting_has_a_limit(desk, opened):
    with pytest.raises(NotAvailable, match=r"did not end within 0\.05 s; it goes on"):
        desk.wait("key", timeout_s=0.05)


def test_waiting_ends_when_the_run_ended_and_nobody_stored_it(airflow, desk, catalogue, opened):
    catalogue.start_stage(opened.id, "run_casa")
    airflow.run_goes(RUN, "failed")
    told = desk.wait("key", timeout_s=10)
    assert (told.state, told.reason) == ("failed", "Its run ended in Airflow (failed), and nobody stored how.")


def test_the_catalogue_of_this_machine_counts_only_beside_its_own_airflow(surroundings, catalogue, tmp_path):
    assert Desk.opened().catalogue is not None
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_URL", "https://airflow.example.org")
    settings.cache_clear()
    assert Desk.opened().catalogue is None
    surroundings.setenv("ALMA_RESTORE_CATALOGUE_URL", str(catalogue.engine.url))
    settings.cache_clear()
    assert Desk.opened().catalogue is not None


def test_a_catalogue_that_is_not_there_is_not_made(surroundings, tmp_path):
    assert reachable_catalogue(settings()) is None
    assert not (tmp_path / "home").exists()
    surroundings.setenv("ALMA_RESTORE_CATALOGUE_URL", f"sqlite:///{tmp_path}/empty.db")
    settings.cache_clear()
    assert reachable_catalogue(settings()) is None
