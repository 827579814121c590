"""Requests: whatever comes in is either a request or refused with every mistake named."""

import re

import pytest

from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest, run_id_of

MOUS = "uid://A001/X12d1/X23e"


def test_a_form_left_empty_but_for_the_mous_is_a_request():
    request = RestoreRequest.parse(
        {"mous_uid": f" {MOUS} ", "eb_uid": "", "casa_version": None, "email": "", "destination": None}
    )
    assert request.mous_uid == MOUS
    assert (request.eb_uid, request.email, request.casa_version, request.destination) == (None, None, "", "")


def test_a_request_survives_json():
    request = RestoreRequest.parse({"eb_uid": "uid://A002/Xd248b5/Xa7a", "email": "a@example.org", "origin": "page"})
    assert RestoreRequest.model_validate_json(request.model_dump_json()) == request


def test_two_requests_are_two_unless_the_asker_gives_one_key():
    first, second = RestoreRequest.parse({"mous_uid": MOUS}), RestoreRequest.parse({"mous_uid": MOUS})
    assert first.correlation_id != second.correlation_id


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "mous_uid nor eb_uid"),
        ({"mous_uid": "X12d1"}, "'X12d1' is not an ALMA uid"),
        ({"mous_uid": MOUS, "mous": "x"}, "Unknown field 'mous'"),
        ({"mous_uid": MOUS, "email": "nobody"}, "email 'nobody'"),
        ({"mous_uid": MOUS, "email": "a@example.org\nBcc: b@example.org"}, "email"),
        ({"mous_uid": MOUS, "origin": "moon"}, "origin 'moon'"),
        ({"mous_uid": MOUS, "destination": "/data\n/etc"}, "destination"),
        ({"mous_uid": MOUS, "casa_version": "x" * 1000}, "casa_version"),
        ({"mous_uid": 7}, "mous_uid '7'"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(fields, named):
    with pytest.raises(Refused) as refusal:
        RestoreRequest.parse(fields)
    assert named in str(refusal.value)
    assert refusal.value.code == "bad_request"
    assert "mous_uid or eb_uid" in refusal.value.remedy


def test_all_mistakes_are_named_at_once():
    with pytest.raises(Refused) as refusal:
        RestoreRequest.parse({"mous_uid": "nonsense", "email": "nobody", "speed": "fast"})
    assert all(word in str(refusal.value) for word in ("nonsense", "nobody", "speed"))


def test_one_correlation_id_is_one_run_and_airflow_takes_its_name():
    plain = RestoreRequest(mous_uid=MOUS, correlation_id="f1a4dd4a-73ae-4aa7-ac30-9397d31dadab")
    assert plain.run_id == "restore__f1a4dd4a-73ae-4aa7-ac30-9397d31dadab"
    odd = [run_id_of(text) for text in ("a/b c", "a_b_c", "a?b c")]
    assert len(set(odd)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_.~:+-]{1,250}", run_id) for run_id in [*odd, run_id_of("ü" * 200)])


def test_the_conf_of_a_run_says_what_was_asked_and_nothing_else():
    request = RestoreRequest(mous_uid=MOUS, correlation_id="key", origin="command")
    assert request.as_conf() == {
        "mous_uid": MOUS,
        "delivery_format": "CMS",
        "correlation_id": "key",
        "origin": "command",
    }
    assert RestoreRequest.parse(request.as_conf()) == request
