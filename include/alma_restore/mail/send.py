"""Sending a mail: it works, or the reason is told; a dead mail server never touches a restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a sending ended, with the sentence for the request's history."""

    sent: bool
    note: str


def send(message: EmailMessage, transport: Callable[[EmailMessage], object]) -> Outcome:
    """Hand a mail to a mail server.

    Args:
        transport: sends one message, or raises anything, such as `smtplib.SMTP(host).send_message`.
    """
    subject, recipient = message["Subject"], message["To"]
    try:
        transport(message)
    except Exception as error:  # noqa: BLE001 -- whatever a server, a hook or the network does
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return Outcome(False, f"The mail {subject!r} to {recipient} could not be sent: {reason}.")
    return Outcome(True, note(message))


def note(message: EmailMessage) -> str:
    """The sentence that the request's history holds once this mail is sent."""
    return f"Mailed {message['Subject']!r} to {message['To']}."
