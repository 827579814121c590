"""Templates into answers: numbers and times as people read them, everything escaped."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from alma_restore import __version__, units
from alma_restore.restore.house import PAGES_AT
from alma_restore.web.access import RESTORE_DAG_ID, Visitor

STATIC = {"page.css": "text/css", "page.js": "text/javascript"}


def page(
    request: Request, template: str, who: Visitor | None = None, status_code: int = 200, **context: Any
) -> HTMLResponse:
    """One page from its template.

    Args:
        who: the visitor; None on a page that only says what went wrong.
    """
    here = str(request.scope.get("root_path", ""))
    text = (
        _templates()
        .get_template(f"{template}.html.jinja")
        .render(here=here, airflow=here.removesuffix(PAGES_AT), dag_id=RESTORE_DAG_ID, who=who, **context)
    )
    return HTMLResponse(text, status_code)


def size(number: int | None) -> str:
    """A number of bytes; None is not known."""
    return "–" if number is None else units.size(number)


def moment(time: datetime | None) -> str:
    """A time to the minute; every page says that times are UTC."""
    return "–" if time is None else units.moment(time).removesuffix(" UTC")


def day(time: datetime | None) -> str:
    return "–" if time is None else units.day(time)


def duration(seconds: float | None) -> str:
    """A time span; None has not begun."""
    return "" if seconds is None else units.duration(seconds)


@cache
def static(name: str) -> bytes:
    """A style sheet or script."""
    return resources.files(__package__).joinpath("static", name).read_bytes()


@cache
def static_version() -> str:
    """Changes with the content of any of them, so that browsers may keep them."""
    return hashlib.sha256(b"".join(map(static, STATIC))).hexdigest()[:12]


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("alma_restore.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"size": size, "moment": moment, "day": day, "duration": duration}
    templates.globals |= {"version": __version__, "static_version": static_version()}
    return templates
