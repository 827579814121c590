"""The mails to a requester: what happened, and what a person needs next."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from functools import cache
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.catalogue.states import State
from alma_restore.errors import Inconsistent
from alma_restore.settings import MailSettings

Occasion = Literal["accepted", "refused", "delivered", "delivered_with_warnings", "failed", "about_to_expire"]

_BY_STATE: dict[State, Occasion] = {
    "accepted": "accepted",
    "refused": "refused",
    "delivered": "delivered",
    "delivered_with_warnings": "delivered_with_warnings",
    "failed": "failed",
}
_SUBJECTS: dict[Occasion, str] = {
    "accepted": "accepted",
    "refused": "refused",
    "delivered": "calibrated data delivered",
    "delivered_with_warnings": "calibrated data delivered, with warnings",
    "failed": "failed",
    "about_to_expire": "the delivery is about to expire",
}
_TEMPLATES: dict[Occasion, str] = {"delivered_with_warnings": "delivered"}
_WIDTH = 78
_UNPRINTABLE = re.compile(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]")
_SPEC = r"[^\s@<>(),;:\"\\\[\]]+@[^\s@<>(),;:\"\\\[\]]+"
_ADDRESS = re.compile(rf"({_SPEC})|([^<>@,;\"]*?)\s*<({_SPEC})>")
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
    delivery: DeliveryRecord | None = None,
    measurement_sets: Sequence[str] = (),
    link: str = "",
) -> EmailMessage:
    """The mail for one occasion, as plain text and as HTML.

    Args:
        request: its `email` is the recipient.
        delivery: what was delivered, for the occasions that speak of it.
        measurement_sets: names of the delivered MeasurementSets, for the example of how to open one.
        link: the request's page; empty: there is none.

    Raises:
        Inconsistent: the request has no usable e-mail address, or the sender's cannot be used.
    """
    message = EmailMessage(_LONG_LINES)
    message["From"] = _address(settings.sender)
    message["To"] = _address(request.email)
    message["Subject"] = f"ALMA restore of {_subject_uid(request)}: {_SUBJECTS[occasion]}"
    message["Date"] = format_datetime(datetime.now(timezone.utc))
    # The same mail sent again is the same mail, and all mails of one request are one thread.
    message["Message-ID"] = f"<{request.id}.{request.attempt}.{occasion}@alma-restore>"
    message["References"] = f"<{request.id}@alma-restore>"
    message["Auto-Submitted"] = "auto-generated"
    words = {
        "request": request,
        "mous": request.mous_uid or request.eb_uid,
        "delivery": delivery,
        "example": [f"listobs(vis='{name}')" for name in list(measurement_sets)[:1]],
        "link": link,
        "contact": settings.contact,
        "subject": message["Subject"],
    }
    template = f"{_TEMPLATES.get(occasion, occasion)}.jinja"
    message.set_content(_environment("text").get_template(template).render(words))
    message.add_alternative(_environment("html").get_template(template).render(words), subtype="html")
    return message


def _subject_uid(request: RequestRecord) -> str:
    return request.mous_uid or request.eb_uid or request.id[:8]


def _address(text: str) -> Address:
    """One address, with or without a name; what could be two, or hide a header, is none."""
    match = _ADDRESS.fullmatch(text) if text.isprintable() else None
    try:
        if match:
            return Address(match[2] or "", addr_spec=match[1] or match[3])
    except (ValueError, IndexError):  # what the standard library's parser raises
        pass
    raise Inconsistent(f"No mail can be sent with the address {text[:80]!r}.")


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
    environment.filters |= {"size": _size, "day": _day, "wrapped": _wrapped, "tail": _tail, "quoted": shlex.quote}
    return environment


def _size(size_bytes: int) -> str:
    """A size for people, in decimal units as disks are sold."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes / 1e3:.3g} kB"


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(timezone.utc):%d %B %Y, %H:%M} UTC".lstrip("0")


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
