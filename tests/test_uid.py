"""Uids: one spelling each, and nothing else passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alma_restore.errors import Refused
from alma_restore.uid import Uid

parts = st.integers(min_value=0, max_value=16**12).map(lambda n: f"X{n:x}")
uids = st.builds("uid://A{:03x}/{}/{}".format, st.integers(0, 0xFFF), parts, parts)


@pytest.mark.parametrize(
    ("text", "uid"),
    [
        ("uid://A001/X12d1/X23e", "uid://A001/X12d1/X23e"),
        ("  uid://A002/Xd248b5/Xa7a    ", "uid://A002/Xd248b5/Xa7a"),
        ("uid___A001_X12d1_X23e", "uid://A001/X12d1/X23e"),
        ("uid://A001/X12D1/X23E", "uid://A001/X12d1/X23e"),
    ],
)
def test_every_spelling_of_a_uid_is_the_same_uid(text, uid):
    assert Uid(text) == uid


@pytest.mark.parametrize(
    "text",
    ["", "X12d1", "uid://A001/X12d1", "uid://A001/X12d1/X23g", "uid://A001/X12d1/X23e/X1", "uid://A01/X1/X2",
     "uid://A001/X1/X2; rm -rf /", "uid://A001/X1/../../etc", "uid://A001/X1/X2\nX", "uid://A001/X１/X2"],
)  # fmt: skip
def test_what_is_no_uid_is_refused_in_one_sentence(text):
    with pytest.raises(Refused) as refusal:
        Uid(text)
    assert refusal.value.code == "bad_uid"
    assert "uid://A001/X12d1/X23e" in str(refusal.value)


@given(uids)
def test_sanitising_loses_nothing_and_is_safe_in_a_path(text):
    uid = Uid(text)
    assert Uid(uid.sanitised) == uid
    assert not set(uid.sanitised) & set("/:. ")
