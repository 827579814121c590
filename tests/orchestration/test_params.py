"""The form of restore_mous: what Airflow takes before a run is made."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import ParamValidationError

from alma_restore.orchestration.params import RESTORE_PARAMS
from alma_restore.request import RestoreRequest

MOUS = "uid://A001/X12d1/X23e"


def test_a_form_left_as_it_is_asks_for_a_basic_restore():
    form = {name: param.resolve() for name, param in RESTORE_PARAMS.items()} | {"mous_uid": MOUS}
    asked = RestoreRequest.parse(form)
    assert asked.options == RestoreRequest(mous_uid=MOUS).options
    assert (asked.split, asked.tar) == (None, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", None),
        ("split", {"intent": "TARGET"}),
        ("split", {"intent": "TARGET", "spw": "17,19", "chanbin": 2, "timebin": "30s", "keep_full": True}),
        ("split", RestoreRequest(mous_uid=MOUS, split={"field": "NGC 253"}).as_conf()["split"]),
        ("tar", True),
    ],
)
def test_what_a_request_can_say_the_form_takes(name, value):
    assert RESTORE_PARAMS[name].resolve(value) == value
    RestoreRequest.parse({"mous_uid": MOUS, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split", "17,19"),
        ("split", {"datacolumn": "data"}),
        ("split", {"chanbin": 0}),
        ("split", {"chanbin": "two"}),
        ("split", {"keep_full": "perhaps"}),
        ("tar", "perhaps"),
    ],
)
def test_what_it_cannot_say_the_form_refuses(name, value):
    with pytest.raises(ParamValidationError):
        RESTORE_PARAMS[name].resolve(value)
