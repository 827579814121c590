"""Requests: whatever comes in is either a request or refused with every mistake named."""

import pytest
from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest

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
