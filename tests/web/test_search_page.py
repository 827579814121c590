"""The search page: what is found, page by page, what its cals column says, and a slow archive."""

from __future__ import annotations

import re
import threading
import time

import pytest
from page_tools import MOUSS, VIEWER, ask, request_of

from alma_restore.errors import NotAvailable
from alma_restore.request import RestoreRequest
from alma_restore.rules import eligibility
from alma_restore.uid import Uid
from alma_restore.web import access, searching
from alma_restore.web import house as houses
from alma_restore.web.answers import Answers
from alma_restore.web.mous import FEW_WORDS

UID = re.compile(r'class="uid">(uid://[^<]+)</a>')


def found(answer):
    assert answer.status_code == 200
    return UID.findall(answer.text)


def cell_of(answer, mous_uid):
    """The cals cell of an MOUS, as text."""
    row = answer.text.split(f">{mous_uid}</a>")[1].split("</tr>")[0]
    cell = row.split('data-label="cals"')[1].split(">", 1)[1]
    return " ".join(re.sub(r"<[^>]+>", " ", cell).split())


def next_page(answer):
    link = re.search(r'href="([^"]+)" rel="next"', answer.text)
    return link and link[1].replace("&amp;", "&")


def test_every_mous_stands_on_one_page_the_latest_calibration_first(client, house):
    pages, path = [], "/"
    while path:
        answer = client.get(path)
        pages.append(found(answer))
        path = next_page(answer)
    assert [len(page) for page in pages] == [25, 25, 25, 15]
    uids = [uid for page in pages for uid in page]
    latest_first = sorted(house.archive.metadata.all_calibrations(), key=lambda each: each.calibrated_at, reverse=True)
    assert uids == [each.mous_uid for each in latest_first]
    assert len(uids) == MOUSS
    assert "MOUSs 76 to 90" in answer.text


def test_a_search_narrows_by_every_field(client):
    assert found(client.get("/", params={"uid": "uid://A001/X1000/X5"})) == ["uid://A001/X1000/X5"]
    assert found(client.get("/", params={"uid": " uid___A002_X1000_X15 "})) == ["uid://A001/X1000/X5"]  # one of its EBs
    assert len(found(client.get("/", params={"project": "2017.1.00003.s"}))) == 10
    assert found(client.get("/", params={"source": "Source 7", "project": "2017.1.00000"})) == ["uid://A001/X1000/X7"]
    assert found(client.get("/", params={"sched_block": "uid___A001_X4000_X8"})) == ["uid://A001/X1000/X8"]
    assert len(found(client.get("/", params={"sched_block": "sb"}))) == 25
    in_a_day = client.get("/", params={"since": "2025-12-31", "until": "2025-12-31"})
    assert len(found(in_a_day)) == 20
    assert 'value="2025-12-31"' in in_a_day.text


def test_a_filter_by_state_pages_on_and_names_the_reasons(client, house):
    verdicts = {c.mous_uid: eligibility.judge(c) for c in house.archive.metadata.all_calibrations()}
    for state, restorable in (("restorable", True), ("not_restorable", False)):
        uids, path = [], f"/?state={state}"
        while path:
            answer = client.get(path)
            uids += found(answer)
            path = next_page(answer)
        assert sorted(uids) == sorted(uid for uid, verdict in verdicts.items() if verdict.restorable == restorable)
    for uid in found(answer):
        assert cell_of(answer, uid) == FEW_WORDS[verdicts[Uid(uid)].code]


def test_the_state_of_requests_is_told_and_searched(client, house, restorable, manual):
    assert cell_of(client.get("/", params={"uid": restorable}), restorable) == f"Restore {restorable}"
    assert cell_of(client.get("/", params={"uid": manual}), manual) == "manual calibration"
    request_id = request_of(ask(client, restorable))

    def told(state):
        answer = client.get("/", params={"state": state})
        return cell_of(answer, restorable) if restorable in found(answer) else None

    assert told("active") == "waiting"
    house.catalogue.start_stage(request_id, "run_casa")
    assert told("active") == "restoring"
    assert told("delivered") is None
    house.catalogue.finish(request_id)
    assert told("delivered") == "restored"
    assert told("active") is None
    again = house.catalogue.reopen(request_id)
    house.catalogue.fail(again.id, NotAvailable("NGAS is down."), "fetch_asdm")
    assert told("failed") == f"failed Restore again {restorable}"
    assert f"/requests/{request_id}" in client.get("/", params={"state": "failed"}).text
    assert told("delivered") is None


def test_a_uid_finds_its_mous_by_state_however_many_requests_are_newer(client, house, calibrations):
    """By the uid of the MOUS, and of one of its execution blocks."""
    many = [each for each in calibrations if eligibility.judge(each).restorable][:40]
    for each in many:
        request = house.catalogue.open_request(RestoreRequest(mous_uid=each.mous_uid))
        house.catalogue.fail(request.id, NotAvailable("NGAS is down."), "fetch_asdm")
    oldest = many[0]
    for uid in (oldest.mous_uid, oldest.execution_blocks[0].uid):
        assert found(client.get("/", params={"uid": uid, "state": "failed"})) == [oldest.mous_uid]
        assert found(client.get("/", params={"uid": uid, "state": "delivered"})) == []


def test_a_new_delivery_can_be_restored_though_the_old_one_was(client, house, restorable):
    request_id = request_of(ask(client, restorable))
    house.catalogue.start_stage(request_id, "run_casa")
    house.catalogue.finish(request_id)
    house.catalogue.identify(request_id, restorable, "0" * 64)
    assert cell_of(client.get("/", params={"uid": restorable}), restorable) == f"restored Restore again {restorable}"


def test_without_permission_there_is_no_button(app, client, restorable):
    app.dependency_overrides[access.visitor] = lambda: VIEWER
    answer = client.get("/", params={"uid": restorable})
    assert cell_of(answer, restorable) == "can be restored"
    assert '<button class="restore"' not in answer.text


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [("uid", "M31", "No ALMA uid"), ("since", "yesterday", "No date"), ("state", "odd", "marked field")],
)
def test_a_mistake_is_marked_at_its_field_and_nothing_is_searched(client, field, value, told):
    answer = client.get("/", params={field: value})
    assert found(answer) == []
    assert told in answer.text


@pytest.mark.parametrize("query", ["after=nonsense", "after=uid___A001_X1_X1+nonsense", "shown=x", "shown=-4"])
def test_a_damaged_link_is_no_fault_of_the_server(client, query):
    assert client.get(f"/?{query}").status_code in (200, 422)


def test_what_was_typed_comes_back_escaped(client):
    answer = client.get("/", params={"source": '"><script>alert(1)</script>'})
    assert "<script>alert" not in answer.text
    assert "Nothing fits" in answer.text


def test_a_slow_archive_costs_its_part_of_the_page_only(app, client, monkeypatch):
    release, asked = threading.Event(), []

    def slow_results(house, what, place):
        asked.append(what)
        release.wait(10)
        return results(house, what, place)

    results = searching._searched
    monkeypatch.setattr(searching, "_searched", slow_results)
    answers = Answers(limit_s=0.05)
    app.dependency_overrides[houses.archive_answers] = lambda: answers
    started = time.monotonic()
    answer = client.get("/")
    assert "The archive is slow." in answer.text
    assert answer.status_code == 200
    assert client.get("/requests").status_code == 200
    assert "The archive is slow." in client.get("/").text
    assert time.monotonic() - started < 5
    release.set()
    deadline = time.monotonic() + 5
    while "The archive is slow." in (answer := client.get("/")).text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(found(answer)) == 25
    assert len(asked) == 1  # the late answer was kept for those who look again


def test_an_archive_that_does_not_answer_is_named(app, client, monkeypatch):
    def no_results(house, what, place):
        raise NotAvailable("The metadata database did not answer search.sql: no route.", remedy="Ask again.")

    monkeypatch.setattr(searching, "_searched", no_results)
    answer = client.get("/")
    assert answer.status_code == 200
    assert "The archive does not answer." in answer.text
    assert "no route" in answer.text


def test_every_reason_has_few_words():
    assert set(FEW_WORDS) == set(eligibility._REASONS)
