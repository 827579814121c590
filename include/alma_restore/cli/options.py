"""Options that several commands share."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated

import typer

from alma_restore.cli.exits import JSON_KEY


def _remember_json(ctx: typer.Context, chosen: bool) -> bool:
    ctx.meta[JSON_KEY] = ctx.meta.get(JSON_KEY, False) or chosen
    return chosen


def utc(moment: datetime | None) -> datetime | None:
    """A date of the command line: without a zone it is UTC."""
    return moment.replace(tzinfo=timezone.utc) if moment else None


DATES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.", callback=_remember_json)]

Which = Annotated[
    str,
    typer.Argument(
        help="The restore: its number, request id, run id or correlation id; an MOUS uid means its newest restore.",
        metavar="RESTORE",
    ),
]

Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait for the end, with a progress bar.")]
