"""Requests: opened once, moved legally, remembered in full."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from alma_restore.catalogue.states import ENDS, IllegalTransition
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import CasaFailed, NotAvailable, Refused
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X12d1/X23e")
OTHER = Uid("uid://A001/X1284/X265f")


def test_an_opened_request_reads_back_as_it_was_asked(catalogue, asked):
    opened = catalogue.open_request(asked, run_id="run 1")
    assert catalogue.get(opened.id) == opened == catalogue.by_run_id("run 1")
    assert opened.asked == asked
    assert (opened.state, opened.attempt, opened.mous_uid, opened.email) == ("accepted", 1, MOUS, "ada@example.org")
    assert [line.state for line in catalogue.history(opened.id)] == ["accepted"]


def test_the_same_run_is_the_same_request_even_when_it_was_parsed_anew(catalogue, asked):
    again = asked.model_copy(update={"correlation_id": "another"})
    assert catalogue.open_request(asked, "run").id == catalogue.open_request(again, "run").id


def test_the_same_correlation_id_is_the_same_request(catalogue, asked):
    first = catalogue.open_request(asked)
    assert first.run_id is None
    with_run = catalogue.open_request(asked, "run of the page")
    joined = catalogue.open_request(asked, "another run")
    assert with_run.id == joined.id == first.id
    assert joined.run_id == "run of the page"


def test_many_who_open_one_request_at_once_get_one(url, asked):
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(lambda _: Catalogue(url).open_request(asked, "run"), range(8)))
    assert len({record.id for record in opened}) == 1
    assert len(Catalogue(url).history(opened[0].id)) == 1


def test_processes_that_open_one_request_at_once_get_one(catalogue, asked, side_by_side):
    ids = side_by_side(lambda: catalogue.open_request(asked).id, processes=3)
    assert len(set(ids)) == 1
    assert catalogue.get(ids[0]).asked == asked


def test_a_request_that_cannot_be_read_is_stored_as_refused(catalogue):
    refusal = Refused("'nonsense' is not an ALMA uid.", code="bad_uid", remedy="Write it like uid://A001/X12d1/X23e.")
    fields = {"mous_uid": "nonsense\0", "requested_by": "ada"}
    record = catalogue.open_unreadable(fields, refusal, run_id="run", email="ada@example.org")
    assert catalogue.open_unreadable(fields, refusal, run_id="run").id == record.id
    assert (record.state, record.error_code, record.reason) == ("refused", "bad_uid", refusal.sentence)
    assert (record.mous_uid, record.email, record.requested_by) == (None, "ada@example.org", "ada")
    assert record.request["mous_uid"] == "nonsense\0"
    assert record.ended_at is not None


def test_a_restore_walks_through_its_stages(catalogue, asked):
    request_id = catalogue.open_request(asked, "run").id
    catalogue.identify(request_id, MOUS, "f" * 64)
    catalogue.set_workspace(request_id, "/spool/one")
    catalogue.set_casa(request_id, "casatasks", "6.7.0", "A newer CASA restores.")
    for stage in ("fetch", "fetch", "casa"):
        catalogue.start_stage(request_id, stage)
    done = catalogue.finish(request_id)
    catalogue.note(request_id, "Mailed to ada@example.org.")
    assert (done.state, done.stage, done.workspace, done.casa_version) == ("delivered", "casa", "/spool/one", "6.7.0")
    assert done.fingerprint == "f" * 64
    assert [(line.state, line.stage) for line in catalogue.history(request_id)] == [
        ("accepted", ""),
        ("running", "fetch"),
        ("running", "casa"),
        ("delivered", "casa"),
        ("delivered", "casa"),
    ]
    timings = catalogue.stage_timings(request_id)
    assert [timing.stage for timing in timings] == ["fetch", "casa"]
    assert timings[0].ended == timings[1].started
    assert timings[1].ended == done.ended_at
    assert all(timing.seconds is not None and timing.seconds >= 0 for timing in timings)


def test_a_retried_stage_leaves_a_line_when_it_has_something_to_say(catalogue, asked):
    request_id = catalogue.open_request(asked).id
    catalogue.start_stage(request_id, "fetch")
    catalogue.start_stage(request_id, "fetch", "try 2")
    assert [line.note for line in catalogue.history(request_id)] == ["", "", "try 2"]
    assert len(catalogue.stage_timings(request_id)) == 1
    assert catalogue.stage_timings(request_id)[0].seconds is None


def test_warnings_are_part_of_the_end(catalogue, asked):
    request_id = catalogue.open_request(asked).id
    catalogue.start_stage(request_id, "casa")
    done = catalogue.finish(request_id, ["96 % of J1 is flagged."])
    assert (done.state, done.warnings) == ("delivered_with_warnings", ["96 % of J1 is flagged."])
    assert catalogue.finish(request_id, ["96 % of J1 is flagged."]).ended_at == done.ended_at


def test_a_failure_is_kept_whole_and_the_first_reason_stands(catalogue, asked):
    request_id = catalogue.open_request(asked).id
    catalogue.start_stage(request_id, "casa")
    broken_log = "SEVERE \0 applycal \udcff"
    catalogue.fail(request_id, CasaFailed("applycal failed on X1.", remedy="Ask us.", log_tail=broken_log), "casa")
    failed = catalogue.fail(request_id, CasaFailed("applycal failed on X2."), "casa")
    assert (failed.state, failed.stage, failed.error_kind, failed.error_code) == (
        "failed",
        "casa",
        "casa_failed",
        "casa_failed",
    )
    assert (failed.reason, failed.remedy, failed.log_tail) == (
        "applycal failed on X1.",
        "Ask us.",
        "SEVERE  applycal ?",
    )
    assert catalogue.history(request_id)[-1].note == "casa: applycal failed on X2."


def test_what_is_delivered_cannot_fail(catalogue, asked):
    request_id = catalogue.open_request(asked).id
    catalogue.start_stage(request_id, "deliver")
    catalogue.finish(request_id)
    with pytest.raises(IllegalTransition, match="is delivered; it cannot become failed"):
        catalogue.fail(request_id, CasaFailed("too late"), "casa")
    with pytest.raises(IllegalTransition, match="cannot become cancelled"):
        catalogue.cancel(request_id)
    assert catalogue.get(request_id).state == "delivered"
    assert catalogue.get(request_id).reason == ""


def test_a_reopened_request_starts_clean_and_keeps_its_history(catalogue, asked):
    request_id = catalogue.open_request(asked, "run 1").id
    catalogue.start_stage(request_id, "fetch")
    catalogue.fail(request_id, NotAvailable("NGAS does not answer."), "fetch")
    again = catalogue.reopen(request_id, "Retried by ada.", run_id="run 2")
    assert (again.state, again.attempt, again.run_id, again.reason, again.ended_at) == (
        "accepted",
        2,
        "run 2",
        "",
        None,
    )
    assert [line.state for line in catalogue.history(request_id)] == ["accepted", "running", "failed", "accepted"]
    assert catalogue.stage_timings(request_id) == ()
    with pytest.raises(IllegalTransition, match="only an ended one"):
        catalogue.reopen(request_id)


def test_cancelling_twice_is_cancelling_once(catalogue, asked):
    request_id = catalogue.open_request(asked).id
    assert catalogue.cancel(request_id, "by ada") == catalogue.cancel(request_id, "by ada")
    assert len(catalogue.history(request_id)) == 2
    assert catalogue.get(request_id).state in ENDS


def test_an_unknown_request_is_named(catalogue):
    with pytest.raises(Refused, match="no request 'nowhere'") as refusal:
        catalogue.get("nowhere")
    assert refusal.value.code == "unknown_request"
    with pytest.raises(Refused, match="no request 'nowhere'"):
        catalogue.start_stage("nowhere", "fetch")
    assert catalogue.by_run_id("nowhere") is None
    assert catalogue.by_correlation_id("nowhere") is None


def test_requests_are_found_by_what_is_known_of_them(catalogue):
    def ask(**fields):
        return catalogue.open_request(RestoreRequest(**fields))

    first = ask(mous_uid=MOUS, requested_by="ada", email="ada@example.org")
    second = ask(mous_uid=OTHER, requested_by="ada", origin="page")
    third = ask(eb_uid="uid://A002/Xd248b5/Xa7a", requested_by="bob")
    catalogue.start_stage(second.id, "fetch")

    def found(**filters):
        return [record.id for record in catalogue.find(**filters).requests]

    assert found() == [third.id, second.id, first.id]
    assert found(uid=MOUS) == [first.id]
    assert found(uid=Uid("uid://A002/Xd248b5/Xa7a")) == [third.id]
    assert found(states=["running"]) == found(origin="page") == [second.id]
    assert found(requested_by="ada", states=["accepted"]) == found(email="ada@example.org") == [first.id]
    assert found(since=second.created_at) == [third.id, second.id]
    assert found(until=second.created_at) == [first.id]
    assert found(since=third.created_at + timedelta(seconds=1)) == []


def test_pages_of_requests_follow_each_other(catalogue):
    ids = [catalogue.open_request(RestoreRequest(mous_uid=MOUS)).id for _ in range(5)]
    pages = [catalogue.find(limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [record.id for page in pages for record in page.requests] == ids[::-1]
    assert {page.total for page in pages} == {5}


def test_the_latest_request_of_each_mous(catalogue):
    catalogue.open_request(RestoreRequest(mous_uid=MOUS))
    second = catalogue.open_request(RestoreRequest(mous_uid=MOUS))
    assert catalogue.latest_of([MOUS, OTHER]) == {MOUS: second}


def test_a_database_that_does_not_answer_is_told_without_its_password():
    with pytest.raises(NotAvailable, match=r"alma:\*\*\*@127.0.0.1") as error:
        Catalogue("postgresql+psycopg://alma:secret@127.0.0.1:1/none").find()
    assert "secret" not in str(error.value)
