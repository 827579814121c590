"""Templates into answers: numbers and times as people read them, everything escaped."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from alma_restore import __version__
from alma_restore.web.access import RESTORE_DAG_ID, Visitor

MOUNTED_AT = "/mous"
"""Where Airflow's api-server mounts the app."""

STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "icon-dark.svg": "image/svg+xml",
}


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
        .render(here=here, airflow=here.removesuffix(MOUNTED_AT), dag_id=RESTORE_DAG_ID, who=who, **context)
    )
    return HTMLResponse(text, status_code)


def size(number: int | None) -> str:
    """A number of bytes, such as `1.4 GB`; None is not known."""
    if number is None:
        return "–"
    scaled, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if scaled < 1000 or unit == "TB":
            break
        scaled /= 1000
    return f"{scaled:.0f} {unit}" if unit == "B" or scaled >= 100 else f"{scaled:.2g} {unit}"


def moment(time: datetime | None) -> str:
    """A time in UTC to the minute."""
    return "–" if time is None else f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M}"


def day(time: datetime | None) -> str:
    return "–" if time is None else f"{time.astimezone(timezone.utc):%Y-%m-%d}"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units, such as `2 h 5 min`."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


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
