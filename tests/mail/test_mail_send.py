"""A mail reaches a real server; a dead server is a sentence, never an error."""

from __future__ import annotations

import email
import email.policy
import smtplib
from dataclasses import replace

import pytest

from alma_restore.mail.compose import compose
from alma_restore.mail.send import send
from alma_restore.request import RestoreRequest


@pytest.fixture
def message(request_record, delivery, mail_settings):
    return compose("delivered", request_record, mail_settings, delivery=delivery)


def test_a_mail_arrives_as_it_was_written(message, transport, postbox):
    outcome = send(message, transport)
    assert outcome.sent
    assert outcome.note == f"Mailed '{message['Subject']}' to ada@example.org."
    ((sender, recipients, content),) = postbox.envelopes
    assert (sender, recipients) == ("restores@example.org", ["ada@example.org"])
    arrived = email.message_from_bytes(content, policy=email.policy.default)
    assert arrived["Subject"] == message["Subject"]
    for kind in ("plain", "html"):
        wanted = message.get_body((kind,)).get_content().splitlines()
        assert arrived.get_body((kind,)).get_content().splitlines() == wanted


@pytest.mark.parametrize("stored", [{"email": "ada@xn--mnchen-3ya.de"}, {"email": "ada@münchen.de"}], ids=str)
def test_a_domain_of_other_letters_is_written_to_in_its_own_ascii(
    request_record, delivery, mail_settings, transport, postbox, stored
):
    """A request keeps it in the letters that people read."""
    email = RestoreRequest.parse({"mous_uid": "uid://A001/X1/X2", **stored}).email
    assert email == "ada@münchen.de"
    message = compose("delivered", replace(request_record, email=email), mail_settings, delivery=delivery)
    assert send(message, transport).note.endswith("to ada@xn--mnchen-3ya.de.")
    assert postbox.envelopes[0][1] == ["ada@xn--mnchen-3ya.de"]


def test_a_dead_server_is_told_and_raises_nothing(message):
    def nobody_listens(message):
        with smtplib.SMTP("127.0.0.1", 1, timeout=1) as client:
            client.send_message(message)

    outcome = send(message, nobody_listens)
    assert not outcome.sent
    assert "to ada@example.org could not be sent: ConnectionRefusedError" in outcome.note


def test_a_server_that_refuses_is_told(message, transport, postbox):
    async def refuse(*_):
        return "554 not from you"

    postbox.handle_DATA = refuse
    outcome = send(message, transport)
    assert not outcome.sent
    assert "554" in outcome.note
    assert outcome.note.isprintable()


def test_cancelling_a_task_is_not_swallowed(message):
    def cancelled(message):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(message, cancelled)
