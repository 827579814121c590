"""Requests: whatever comes in is either a request or refused with every mistake named."""

import re

import pytest

from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest, run_id_of
from alma_restore.split import SplitOptions

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
        ({"mous_uid": MOUS, "tar": "perhaps"}, "tar 'perhaps'"),
        ({"mous_uid": MOUS, "split": "17,19"}, "split '17,19': give an object, such as"),
        ({"mous_uid": MOUS, "split": {"datacolumn": "data"}}, "Unknown field 'split.datacolumn'"),
        ({"mous_uid": MOUS, "split": {"chanbin": 0}}, "split.chanbin '0'"),
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
    odd = [run_id_of(text) for text in ("a/b c", "a_b_c", "a?b c", "a..b", "a._b")]
    assert len(set(odd)) == len(odd)
    assert not any(".." in run_id for run_id in odd)
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


def test_a_request_made_before_there_were_splits_can_still_be_read():
    stored = RestoreRequest(mous_uid=MOUS).model_dump(mode="json", exclude={"split", "tar"})
    request = RestoreRequest.parse(stored)
    assert (request.split, request.tar) == (None, False)


def test_a_split_is_asked_for_in_the_words_of_the_pipeline():
    fields = {"split": {"intent": "TARGET", "spw": "17,19", "chanbin": 2, "timebin": "30s"}, "tar": True}
    request = RestoreRequest.parse({"mous_uid": MOUS, **fields})
    assert request.split == SplitOptions(spw="17,19", chanbin=2, timebin="30s")
    assert request.as_conf()["tar"] is True
    assert RestoreRequest.parse(request.as_conf()) == request


@pytest.mark.parametrize("nothing", [None, {}, ""])
def test_a_form_whose_split_was_left_empty_asks_for_none(nothing):
    assert RestoreRequest.parse({"mous_uid": MOUS, "split": nothing}).split is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"email": "a@example.org", "origin": "event", "requested_by": "somebody"}, True),
        ({"split": {"spw": "17, 19", "chanbin": "2"}}, True),
        ({"split": {"spw": "17,19"}}, False),
        ({"split": None}, False),
        ({"split": {"spw": "17,19", "chanbin": 2, "keep_full": True}}, False),
        ({"tar": True}, False),
        ({"destination": "/data"}, False),
        ({"casa_version": "6.6.1"}, False),
        ({"fingerprint": "a" * 64}, False),
    ],
)
def test_requests_ask_for_the_same_thing_when_the_result_is_the_same(other, same):
    fields = {"mous_uid": MOUS, "split": {"spw": "17,19", "chanbin": 2}}
    first, second = RestoreRequest.parse(fields), RestoreRequest.parse({**fields, **other})
    assert (first.options == second.options) is same
