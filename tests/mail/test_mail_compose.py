"""A mail says what happened and what a person needs next, whatever its text and HTML are made of."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from html.parser import HTMLParser
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alma_restore.catalogue.states import State
from alma_restore.errors import Inconsistent
from alma_restore.mail.compose import Occasion, compose, occasion_of

LINK = "https://archive.example.org/mous/requests/f1a4dd4a"


@pytest.fixture
def written(request_record, delivery, mail_settings):
    def write(occasion, *, request=request_record, **changes):
        facts = {"delivery": delivery, "measurement_sets": ["uid___A002_Xd248b5_Xa7a.ms"], "link": LINK}
        facts["note"] = "Cancelled by grace@example.com."
        return compose(occasion, request, mail_settings, **(facts | changes))

    return write


def plain(message):
    return message.get_body(("plain",)).get_content()


def shown(message):
    """The text that a reader of the HTML sees."""

    texts = []
    reader = HTMLParser()
    reader.handle_data = texts.append
    reader.feed(message.get_body(("html",)).get_content())
    return " ".join(texts)


NEEDED = {
    "accepted": ["is accepted", "another mail", "the default folder"],
    "refused": ["cannot be carried out", "CASA ended with exit code 1", "Ask for the products"],
    "delivered": [
        "Your calibrated data are delivered",
        "/lustre/ada's data/uid___A001_X12d1_X23e__f1a4dd4a",
        "12.3 GB in 1187 files",
        "Kept until 2026-12-11 12:00 UTC",
        "6.7.0. The data were calibrated with CASA 6.6.1-17",
        "cd '/lustre/ada'\"'\"'s data/uid___A001_X12d1_X23e__f1a4dd4a'",
        "sha256sum -c --quiet SHA256SUMS",
        "listobs(vis='uid___A002_Xd248b5_Xa7a.ms')",
        "CORRECTED_DATA",
    ],
    "delivered_with_warnings": ["Before you use them, mind:", "96 % of field J1924-2914 is flagged."],
    "failed": [
        "The restore failed",
        "Failed in run_casa",
        "table <a.tbl> & more are missing.",
        "Ask for the products",
        "SEVERE ?[31m<b>no table</b>?[0m",
        "/spool/uid___A002_Xd248b5_Xa7a_2026_11_20_T12_00_00.000",
    ],
    "about_to_expire": ["will be removed on 2026-12-11 12:00 UTC", "/lustre/ada's data/", "12.3 GB"],
    "cancelled": ["The restore is cancelled", "Cancelled by g...@...", "Nothing was delivered"],
}


@pytest.mark.parametrize("occasion", get_args(Occasion))
@pytest.mark.parametrize("read", [plain, shown])
def test_each_mail_says_what_a_person_needs_next(written, occasion, read):
    text = " ".join(read(written(occasion)).split())
    for needed in [
        *NEEDED[occasion],
        "uid://A001/X12d1/X23e",
        "help@example.org",
        "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab",
    ]:
        assert needed in text
    assert "None" not in text


@pytest.mark.parametrize("occasion", get_args(Occasion))
def test_a_mail_fits_a_terminal(written, occasion):
    text = plain(written(occasion))
    assert max(len(line) for line in text.splitlines()) <= 90
    assert "\n\n\n" not in text
    assert text.isascii()


@pytest.mark.parametrize("occasion", get_args(Occasion))
def test_a_mail_is_a_standard_one(written, occasion):
    message = email.message_from_bytes(written(occasion).as_bytes(), policy=email.policy.default)
    assert message["From"] == "ALMA restores <restores@example.org>"
    assert message["To"] == "ada@example.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == f"<f1a4dd4a-73ae-4aa7-ac30-9397d31dadab.1.{occasion}@alma-restore>"
    assert message["Date"].datetime.tzinfo is not None
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_subjects_tell_the_mails_of_one_mous_apart(written):
    subjects = {written(occasion)["Subject"] for occasion in get_args(Occasion)}
    assert len(subjects) == len(get_args(Occasion))
    assert all("uid://A001/X12d1/X23e" in subject for subject in subjects)


def test_the_request_page_is_linked_where_there_is_one(written):
    assert LINK in plain(written("delivered"))
    assert f'href="{LINK}"' in written("delivered").get_body(("html",)).get_content()
    assert "page" not in plain(written("delivered", link=""))


def test_a_delivery_that_does_not_expire_says_so(written, delivery):
    kept = written("delivered", delivery=replace(delivery, keep=True))
    assert "you remove them" in plain(kept)
    assert "2026-12" not in plain(kept)


def test_a_remote_delivery_is_not_opened_with_cd(written, delivery):
    text = plain(written("delivered", delivery=replace(delivery, path="sftp://mirror/incoming/x", expires_at=None)))
    assert "sftp://mirror/incoming/x" in text
    assert "    cd " not in text


def test_a_request_that_could_not_be_read_has_its_mail_too(written, request_record):
    unreadable = replace(request_record, mous_uid=None, request={"mous_uid": "nonsense"}, casa_version="")
    message = written("refused", request=unreadable, delivery=None)
    assert message["Subject"] == "ALMA restore of f1a4dd4a: refused"
    assert plain(message).startswith("Your request cannot be carried out\n")


def test_each_state_that_somebody_waits_for_has_its_mail(request_record):
    told = {state for state in get_args(State) if occasion_of(replace(request_record, state=state))}
    assert told == {"accepted", "refused", "failed", "cancelled", "delivered", "delivered_with_warnings"}


@pytest.mark.parametrize("occasion", get_args(Occasion))
def test_who_joined_is_told_the_same_and_no_address_of_another(written, occasion):
    message = written(occasion, to="eve@example.net")
    assert message["To"] == "eve@example.net"
    assert "You asked for the same, and joined it." in " ".join(plain(message).split())
    assert message["Message-ID"] not in (
        written(occasion)["Message-ID"],
        written(occasion, to="bob@x.org")["Message-ID"],
    )
    for address in ("ada@example.org", "grace@example.com"):
        assert address not in message.as_string() + plain(message) + shown(message)


def test_what_was_asked_for_by_itself_is_opened_so(written, request_record):
    asked = replace(request_record, request={"tar": True, "split": {"intent": "TARGET"}})
    text = plain(written("delivered", request=asked))
    assert "    tar -xf uid___A002_Xd248b5_Xa7a.ms.tar\n" in text
    assert "in the column DATA" in text


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@example.org\nBcc: eve@example.org",
        "ada@example.org\r\n\r\nbody",
        "ada@example.org, eve@example.org",
        "ada@example.org>, <eve@example.org",
        "ada@@example.org",
        "ada@example.org eve@example.org",
        "\x00ada@example.org",
        "ada@example..org",
        "ada@münchen..de",
        "ada@☃.net",
    ],
)
def test_what_is_not_one_address_gets_no_mail(written, request_record, address):
    with pytest.raises(Inconsistent, match="No mail can be sent"):
        written("failed", request=replace(request_record, email=address))


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "\r\nBcc: eve@example.org",
        "\n\n.\nMAIL FROM",
        "<script>alert(1)</script>",
        "{{ 7*7 }}",
        "=?utf-8?q?x?=",
        "\x1b]0;x",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reason=HOSTILE, log=HOSTILE, warning=HOSTILE, name=HOSTILE, path=HOSTILE)
def test_no_text_breaks_out_of_its_place(written, request_record, delivery, reason, log, warning, name, path):
    hostile = replace(request_record, reason=reason, log_tail=log, warnings=[warning], stage=name, remedy=name)
    for occasion in ("failed", "delivered_with_warnings"):
        message = written(occasion, request=hostile, delivery=replace(delivery, path=path), measurement_sets=[name])
        parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
        assert set(parsed.keys()) == set(written(occasion).keys())
        assert parsed["To"] == "ada@example.org"
        assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
        assert "<script" not in parsed.get_body(("html",)).get_content()
        assert "\x1b" not in plain(parsed)
        assert plain(parsed).count("\n") < 80
