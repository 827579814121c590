"""StartWorkflow events become requests, or are refused with every reason."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from alma_restore.errors import Refused
from alma_restore.request_events import parse_start_workflow
from alma_restore.split import SplitOptions

SEED_1: dict[str, Any] = {
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


def _with(**metadata: Any) -> dict[str, Any]:
    event = copy.deepcopy(SEED_1)
    for name, value in metadata.items():
        if value is None:
            del event["metadata"][name]
        else:
            event["metadata"][name] = value
    return event


@pytest.mark.parametrize(
    "event", [SEED_1, json.dumps(SEED_1), json.dumps(SEED_1).encode()], ids=["object", "text", "bytes"]
)
def test_the_event_of_seed_1_is_a_request(event: Any) -> None:
    request = parse_start_workflow(event, requested_by="archive")
    assert request.mous_uid == "uid://A001/X12d1/X23e"
    assert request.eb_uid is None
    assert request.casa_version == "5.4.0-68"
    assert request.correlation_id == "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab"
    assert (request.origin, request.requested_by) == ("event", "archive")


def test_the_larger_event_says_where_to_deliver_and_whom_to_tell() -> None:
    request = parse_start_workflow(
        _with(destinationDirectory="/lustre/deliveries/me", userEmail="me@example.org", createTar=False, systemId=12)
    )
    assert (request.destination, request.email) == ("/lustre/deliveries/me", "me@example.org")
    assert (request.split, request.tar) == (None, False)


def test_the_larger_event_says_what_to_split_off_and_to_pack() -> None:
    request = parse_start_workflow(_with(splitOptions={"intent": "TARGET", "chanbin": 4}, createTar=True))
    assert (request.split, request.tar) == (SplitOptions(intent="TARGET", chanbin=4), True)
    with pytest.raises(Refused, match=r"metadata\.splitOptions\.chanbin"):
        parse_start_workflow(_with(splitOptions={"chanbin": "many"}))


def test_what_an_event_says_nothing_of_may_be_null() -> None:
    event = copy.deepcopy(SEED_1)
    nothing = (
        "userEmail",
        "destinationDirectory",
        "splitOptions",
        "createTar",
        "casaHome",
        "fileSetIds",
        "deliveryFormat",
    )
    event["metadata"].update(dict.fromkeys(nothing))
    for said in (event, json.dumps(event)):
        request = parse_start_workflow(said)
        assert (request.email, request.destination, request.split, request.tar) == (None, "", None, False)
        assert (request.casa_version, request.delivery_format) == ("", "CMS")


def test_an_event_may_begin_with_a_byte_order_mark() -> None:
    request = parse_start_workflow(json.dumps(SEED_1).encode("utf-8-sig"))
    assert request.mous_uid == "uid://A001/X12d1/X23e"


def test_an_execution_block_stands_in_for_a_missing_mous() -> None:
    request = parse_start_workflow(_with(ousStatusId=None))
    assert (request.mous_uid, request.eb_uid) == (None, "uid://A002/Xd248b5/Xa7a")


@pytest.mark.parametrize(
    ("home", "version"),
    [("", ""), ("/opt/casa-6.6.1-17-pipeline-2024.1.0.8/", "6.6.1-17"), ("/opt/casa-newest", "casa-newest")],
)
def test_the_casa_home_names_the_version(home: str, version: str) -> None:
    assert parse_start_workflow(_with(casaHome=home)).casa_version == version


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("{", "JSON"),
        ("[]", "The event"),
        ({}, "type: Field required"),
        (SEED_1 | {"type": "edu.nrao.archive.workflow.messaging.commands.StopWorkflow"}, "type"),
        (_with(telescope="EVLA"), "telescope 'EVLA'"),
        (_with(workflowName="EvlaBasicRestoreWorkflow"), "workflowName 'EvlaBasicRestoreWorkflow'"),
        (_with(deliveryFormat="SDM"), "deliveryFormat 'SDM'"),
        (_with(ousStatusId="uid://nonsense"), "not an ALMA uid"),
        (_with(ousStatusId=None, fileSetIds=[]), "Neither mous_uid nor eb_uid"),
        (_with(cliCorrId=None), "cliCorrId"),
        (_with(cliCorrId=""), "cliCorrId"),
        (_with(userEmail="nobody"), "email"),
        (_with(destinationDirectory="/a\nb"), "control characters"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_reason(event: Any, reason: str) -> None:
    with pytest.raises(Refused, match="(?s)" + re.escape(reason)) as refusal:
        parse_start_workflow(event)
    assert refusal.value.code == "bad_event"


def test_every_reason_is_told_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        parse_start_workflow(_with(telescope="EVLA", deliveryFormat="SDM"))
    assert "telescope" in refusal.value.sentence
    assert "deliveryFormat" in refusal.value.sentence
