"""Airflow's REST API as the client uses it: what it answers becomes a result or one of our errors."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import product

import pytest

from alma_restore.client.rest import AirflowRest, Credentials
from alma_restore.errors import Misconfigured, NotAvailable, Refused
from alma_restore.request import RestoreRequest

CONF = {"mous_uid": "uid://A001/X12d1/X23e"}


@pytest.fixture
def ada(airflow):
    airflow.password = "secret"
    return AirflowRest(airflow.url, Credentials(user="ada", password="secret"))


def test_a_user_is_logged_in_once_for_many_calls(airflow, ada):
    ada.trigger("restore__1", CONF)
    ada.trigger("restore__2", CONF)
    assert airflow.calls.count("POST /auth/token") == 1
    assert set(airflow.runs) == {"restore__1", "restore__2"}


def test_a_token_that_ran_out_is_renewed(airflow, ada):
    ada.run("x")
    airflow.valid.clear()
    assert ada.trigger("restore__1", CONF)


def test_a_wrong_password_and_no_password_at_all_say_what_to_set(airflow, ada):
    for wrong in (Credentials(user="ada", password="guess"), Credentials(), Credentials(token="old")):
        with pytest.raises(Refused, match="ALMA_RESTORE_AIRFLOW_TOKEN") as refused:
            AirflowRest(airflow.url, wrong).run("x")
        assert refused.value.code == "not_logged_in"


def test_a_token_from_the_environment_is_used_as_it_is(airflow):
    airflow.password, airflow.valid = "secret", ["given"]
    credentials = Credentials.from_environment({"ALMA_RESTORE_AIRFLOW_TOKEN": "given"})
    assert AirflowRest(airflow.url, credentials).trigger("restore__1", CONF)
    assert "given" not in repr(credentials)


def test_a_run_that_exists_is_not_made_twice(airflow, rest):
    assert rest.trigger("restore__1", CONF) is True
    assert rest.trigger("restore__1", {"mous_uid": "uid://A001/X1/X1"}) is False
    assert airflow.runs["restore__1"]["conf"] == CONF


def test_who_may_not_is_told_so(airflow, rest):
    airflow.may_trigger = False
    with pytest.raises(Refused, match=r"403: Forbidden\. Ask an Airflow administrator") as refused:
        rest.trigger("restore__1", CONF)
    assert refused.value.code == "not_allowed"


def test_what_airflow_finds_wrong_is_told_in_one_line(rest):
    with pytest.raises(Refused) as refused:
        rest.trigger("restore__1", {"mous_uid": "nonsense"})
    assert refused.value.sentence.endswith("400: Invalid input for param mous_uid: 'nonsense' does not match.")


def test_an_airflow_that_does_not_answer_is_not_available(airflow, rest):
    with pytest.raises(NotAvailable, match="ALMA_RESTORE_AIRFLOW_URL"):
        AirflowRest("http://127.0.0.1:1", Credentials()).health()
    with pytest.raises(NotAvailable, match="ALMA_RESTORE_AIRFLOW_URL"):
        AirflowRest("no url", Credentials()).health()
    airflow.down = True
    with pytest.raises(NotAvailable, match="503: Service Unavailable"):
        rest.health()


LOG_IN_PAGE = "<!doctype html><title>Log in</title>"


@pytest.mark.parametrize(
    ("status", "page"),
    [
        (200, LOG_IN_PAGE),  # Airflow's own pages answer every GET, a proxy's every request
        (302, None),  # another proxy sends on to its log-in
        (404, LOG_IN_PAGE),  # another web server
        (404, {"error": "API route not found"}),  # Airflow below /api/v2
        (405, {"detail": "Method Not Allowed"}),  # Airflow's pages, to whatever is no GET
    ],
)
def test_a_page_at_airflows_address_is_said_to_be_one(airflow, status, page):
    airflow.page = status, page
    asks = (AirflowRest.health, lambda r: r.run("x"), lambda r: r.trigger("x", {}), lambda r: list(r.runs()))
    for ask, credentials in product(asks, (Credentials(), Credentials(user="ada", password="secret"))):
        with pytest.raises(Misconfigured, match=r"is not Airflow's API.*ALMA_RESTORE_AIRFLOW_URL") as told:
            ask(AirflowRest(f"{airflow.url}/home", credentials))
        assert f"{airflow.url}/home" in told.value.sentence
        assert "state=secret" not in told.value.sentence


def test_the_task_instances_of_a_run_are_read_to_the_last_page(airflow, rest):
    rest.trigger("restore__1", CONF)
    airflow.tasks["restore__1"] |= {("fetch_asdm", index): "success" for index in range(240)}
    assert len(rest.task_instances("restore__1")) == 248


def test_the_health_is_that_of_the_body(airflow, rest):
    airflow.health |= {"scheduler": "unhealthy", "triggerer": None}
    assert rest.health() == {
        "metadatabase": "healthy",
        "scheduler": "unhealthy",
        "triggerer": "not running",
        "dag_processor": "healthy",
    }


def test_a_file_that_airflow_cannot_read_is_named_with_the_reason(airflow, rest):
    airflow.import_errors = [{"filename": "restore_mous.py", "stack_trace": "Traceback:\n\nImportError: no lxml\n"}]
    assert rest.import_errors() == ["restore_mous.py: ImportError: no lxml"]


def test_a_backfill_is_asked_for_again_while_airflows_sqlite_is_busy(airflow, rest, monkeypatch):
    monkeypatch.setattr("alma_restore.client.rest.BUSY_WAIT_S", 0.01)
    airflow.busy = 3
    assert rest.create_backfill({})["id"] == 1
    airflow.busy = 1000
    with pytest.raises(NotAvailable, match="Database is locked"):
        rest.create_backfill({})
    assert airflow.calls.count("POST /api/v2/backfills") == 4 + 12


def test_a_run_is_due_before_what_is_queued_and_listed_by_when_it_was_asked_for(airflow):
    rest = AirflowRest(airflow.url, Credentials())
    for key in ("first", "second"):
        asked = RestoreRequest(mous_uid="uid://A001/X12d1/X23e", correlation_id=key)
        assert rest.trigger(asked.run_id, asked.as_conf())
    first, second = (datetime.fromisoformat(run["run_after"]) for run in airflow.runs.values())
    assert first < second < datetime.now(timezone.utc) - timedelta(days=300)
    airflow.runs["restore__first"]["queued_at"] = "2026-11-20T08:00:00Z"
    since = datetime(2026, 11, 21, tzinfo=timezone.utc)
    assert [run["dag_run_id"] for run in rest.runs(since=since)] == ["restore__second"]
    assert len(list(rest.runs())) == 2
