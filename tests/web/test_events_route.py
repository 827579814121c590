"""StartWorkflow events over HTTP: taken once, refused with the reason."""

from __future__ import annotations

import copy

import pytest
from page_tools import VIEWER

from alma_restore.errors import NotAvailable
from alma_restore.uid import Uid
from alma_restore.web import access

EVENT = {
    "eventName": "runAlmaBasicRestoreWorkflow",
    "type": "edu.nrao.archive.workflow.messaging.commands.StartWorkflow",
    "additionalPaths": [],
    "metadata": {
        "workflowName": "AlmaOusRestoreWorkflow",
        "processingSite": "NAASC",
        "deliveryFormat": "CMS",
        "telescope": "ALMA",
        "fileSetIds": ["uid://A002/Xd248b5/Xa7a"],
        "ousStatusId": "uid://A001/X12d1/X23e",
        "projectCodeOrDataType": "2017.1.00370.S",
        "cliCorrId": "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab",
        "casaHome": "/home/casa/packages/RHEL6/release/casa-release-5.4.0-68",
    },
}


@pytest.fixture
def send(client):
    def send(event=EVENT, **options):
        sent = {"content": event} if isinstance(event, (str, bytes)) else {"json": event}
        return client.post("/api/events", **sent, headers={"Accept": "application/json"}, **options)

    return send


def test_an_event_becomes_a_request_and_a_run(send, house, runs):
    answer = send()
    assert answer.status_code == 202
    told = answer.json()
    record = house.catalogue.get(told["request_id"])
    assert record.mous_uid == Uid("uid://A001/X12d1/X23e")
    assert (record.origin, record.requested_by, record.correlation_id) == (
        "event",
        "Ada",
        EVENT["metadata"]["cliCorrId"],
    )
    assert told["correlation_id"] == record.correlation_id
    assert told["page"] == f"/requests/{record.id}"
    assert runs.triggered[record.run_id]["casa_version"] == "5.4.0-68"


def test_the_same_event_again_is_the_same_request(send, house, runs):
    first = send().json()
    house.catalogue.start_stage(first["request_id"], "fetch_asdm")
    again = send().json()
    assert again["request_id"] == first["request_id"]
    assert again["state"] == "running"
    assert len(runs.triggered) == 1
    assert house.catalogue.find().total == 1


@pytest.mark.parametrize("event", ["", "{", "[]", b"\xff", '{"type": 1}', "x" * 100_000], ids=repr)
def test_what_is_no_event_is_refused_with_the_reason(send, house, event):
    answer = send(event)
    assert answer.status_code == 422
    assert answer.json()["code"] == "bad_event"
    assert len(answer.json()["detail"]) > 20
    assert house.catalogue.find().total == 0


def test_another_telescopes_event_is_refused(send, runs):
    event = copy.deepcopy(EVENT)
    event["metadata"]["telescope"] = "EVLA"
    answer = send(event)
    assert answer.status_code == 422
    assert "telescope 'EVLA'" in answer.json()["detail"]
    assert runs.triggered == {}


def test_an_event_needs_the_permission_and_the_same_site(app, client, send, runs):
    answer = client.post("/api/events", json=EVENT, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    app.dependency_overrides[access.visitor] = lambda: VIEWER
    assert send().status_code == 403
    assert runs.triggered == {}


def test_when_airflow_does_not_start_it_the_sender_is_told(send, house, runs):
    runs.says_no = True
    answer = send()
    assert answer.status_code == 503
    assert "no such DAG" in answer.json()["detail"]
    assert house.catalogue.find().requests[0].state == "failed"


def test_what_airflow_did_not_start_is_started_when_it_is_sent_again(send, house, runs):
    runs.says_no = runs.gone = True
    assert send().status_code == 503
    runs.says_no = False
    again = send()
    assert (again.status_code, again.json()["state"]) == (202, "accepted")
    (record,) = house.catalogue.find().requests
    assert list(runs.triggered) == [record.run_id]
    assert record.attempt == 1, "a new run was never cleared"


def test_what_failed_in_its_first_stage_is_not_run_again_by_the_same_event(send, house, runs):
    first = send().json()
    house.catalogue.fail(first["request_id"], NotAvailable("The archive does not answer."), "open_request")
    assert send().json()["state"] == "failed"
