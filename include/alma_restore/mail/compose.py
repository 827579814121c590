"""The mails to a requester: what happened, and what a person needs next."""

from __future__ import annotations

import hashlib
import re
import shlex
import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.catalogue.states import State
from alma_restore.mail.addresses import address, veiled
from alma_restore.settings import MailSettings
from alma_restore.units import moment, size

Occasion = Literal[
    "accepted", "refused", "delivered", "delivered_with_warnings", "failed", "about_to_expire", "cancelled"
]

_BY_STATE: dict[State, Occasion] = {
    "accepted": "accepted",
    "refused": "refused",
    "delivered": "delivered",
    "delivered_with_warnings": "delivered_with_warnings",
    "failed": "failed",
    "cancelled": "cancelled",
}
_SUBJECTS: dict[Occasion, str] = {
    "accepted": "accepted",
    "refused": "refused",
    "delivered": "calibrated data delivered",
    "delivered_with_warnings": "calibrated data delivered, with warnings",
    "failed": "failed",
    "about_to_expire": "the delivery is about to expire",
    "cancelled": "cancelled",
}
_TONES: dict[Occasion, str] = {
    "accepted": "#0b6e8f",
    "refused": "#a3232f",
    "delivered": "#1f7a4c",
    "delivered_with_warnings": "#b07410",
    "failed": "#a3232f",
    "about_to_expire": "#b07410",
    "cancelled": "#66707c",
}
"""The colour beside a mail's first sentence: none of them is read alone."""
_TEMPLATES: dict[Occasion, str] = {"delivered_with_warnings": "delivered"}
_WIDTH = 78
_UNPRINTABLE = re.compile(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]")
_LONG_LINES = policy.default.clone(max_line_length=200)
"""Below this length headers are not folded: the standard library breaks a Message-ID that it folds."""
_LOG_LINES = 40


def occasion_of(request: RequestRecord) -> Occasion | None:
    """What a requester is told of a request in this state; None: nothing."""
    return _BY_STATE.get(request.state)


def compose(
    occasion: Occasion,
    request: RequestRecord,
    settings: MailSettings,
    *,
    to: str = "",
    delivery: DeliveryRecord | None = None,
    measurement_sets: Sequence[str] = (),
    link: str = "",
    note: str = "",
) -> EmailMessage:
    """The mail for one occasion, as plain text and as HTML.

    Args:
        to: who joined the request; empty: its asker. No mail tells one of them the address of another.
        delivery: what was delivered, for the occasions that speak of it.
        measurement_sets: names of the delivered MeasurementSets, for the example of how to open one.
        link: the request's page; empty: there is none.
        note: what the request's history says of this occasion.

    Raises:
        Inconsistent: the recipient's address is none, or the sender's.
    """
    recipient = to or request.email
    message = EmailMessage(_LONG_LINES)
    message["From"] = address(settings.sender)
    message["To"] = address(recipient)
    message["Subject"] = f"ALMA restore of {_subject_uid(request)}: {_SUBJECTS[occasion]}"
    message["Date"] = format_datetime(datetime.now(timezone.utc))
    # The same mail sent again is the same mail, and all mails of one request are one thread.
    message["Message-ID"] = f"<{request.id}.{request.attempt}.{occasion}{_of_follower(request, to)}@alma-restore>"
    message["References"] = f"<{request.id}@alma-restore>"
    message["Auto-Submitted"] = "auto-generated"
    words = {
        "request": request,
        "mous": request.mous_uid or request.eb_uid,
        "delivery": delivery,
        "example": _example(measurement_sets[0], bool(request.request.get("tar"))) if measurement_sets else ["casa"],
        "link": link,
        "note": note,
        "joined": recipient != request.email,
        "contact": settings.contact,
        "subject": message["Subject"],
        "tone": _TONES[occasion],
    }
    template = f"{_TEMPLATES.get(occasion, occasion)}.jinja"
    message.set_content(_environment("text").get_template(template).render(words))
    message.add_alternative(_environment("html").get_template(template).render(words), subtype="html")
    return message


def _example(name: str, in_tar: bool) -> list[str]:
    """How to look into a delivered MeasurementSet."""
    return [*([f"tar -xf {shlex.quote(f'{name}.tar')}"] if in_tar else []), "casa", f"listobs(vis='{name}')"]


def _of_follower(request: RequestRecord, to: str) -> str:
    """What tells the mail to somebody who joined from the same mail to others."""
    return f".{hashlib.sha256(f'{request.id} {to}'.encode()).hexdigest()[:8]}" if to not in ("", request.email) else ""


def _subject_uid(request: RequestRecord) -> str:
    return request.mous_uid or request.eb_uid or request.id[:8]


def read_templates() -> None:
    """Compile every template now, so that processes forked from this one need not."""
    for environment in (_environment("text"), _environment("html")):
        for name in environment.list_templates():
            environment.get_template(name)


@cache
def _environment(form: Literal["text", "html"]) -> Environment:
    """The templates in one form: each says its words once, `text.jinja` and `html.jinja` say how they look."""
    environment = Environment(
        loader=PackageLoader("alma_restore.mail"),
        undefined=StrictUndefined,
        autoescape=form == "html",  # noqa: S701 -- plain text is no markup
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["form"] = f"{form}.jinja"
    environment.filters |= {
        "size": size,
        "moment": moment,
        "veiled": veiled,
        "wrapped": _wrapped,
        "tail": _tail,
        "quoted": shlex.quote,
    }
    return environment


def _wrapped(text: str, indent: int = 0) -> str:
    start = text[: len(text) - len(text.lstrip(" "))]
    return textwrap.fill(
        " ".join(text.split()) if not start else text,
        _WIDTH,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _printable(value: object) -> object:
    """Text from a log or a request, without what would move a terminal's cursor; markup is made of such text."""
    return _UNPRINTABLE.sub("?", value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _tail(log: str) -> str:
    return "\n".join(log.rstrip().splitlines()[-_LOG_LINES:])
