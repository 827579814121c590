"""What commands print: JSON for programs, tables and sentences for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from alma_restore import units

if TYPE_CHECKING:
    from alma_restore.client.desk import Desk
    from alma_restore.client.restores import RestoreStatus

_COLOURS = {
    "delivered": "green",
    "delivered_with_warnings": "yellow",
    "failed": "red",
    "refused": "red",
    "cancelled": "magenta",
    "expired": "dim",
}


_NO_TERMINAL_WIDTH = 1000


def console() -> Console:
    """Standard output as it is now; where it is no terminal, plain and with whole lines, for other programs."""
    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; only its last column is broken into lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    for row in rows:
        table.add_row(*row)
    console().print(table)


def coloured_state(state: str) -> str:
    """A state in words and in its colour."""
    colour = _COLOURS.get(state)
    words = state.replace("_", " ")
    return f"[{colour}]{words}[/]" if colour else words


def print_status(told: RestoreStatus) -> None:
    """All that is known of one restore, a line a fact."""
    facts = [
        ("restore", f"{told.number} ({told.request_id})" if told.number is not None else ""),
        ("MOUS", told.mous_uid or ""),
        ("state", coloured_state(told.state)),
        ("stage", "" if told.delivered else told.stage),
        ("reason", escape(told.reason)),
        ("what to do", escape(told.remedy) if told.ended else ""),
        ("warnings", escape("\n".join(told.warnings))),
        ("delivered to", escape(told.delivered_to)),
        ("size", size_of(told.size_bytes)),
        ("kept until", moment_of(told.expires_at)),
        ("CASA", escape(told.casa_policy)),
        ("spool folder", escape(told.workspace)),
        ("asked for", moment_of(told.created_at)),
        ("ended", moment_of(told.ended_at)),
        ("Airflow run", escape(told.run_id)),
        ("log ends with", escape(told.log_tail)),
    ]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, fact in facts:
        if fact:
            table.add_row(name, fact)
    console().print(table)


def moment_of(time: datetime | None) -> str:
    return units.moment(time) if time else ""


def size_of(size_bytes: int | None) -> str:
    return "" if size_bytes is None else units.size(size_bytes)


def wait_with_bar(desk: Desk, which: str, timeout_s: float | None = None) -> RestoreStatus:
    """Wait for a restore's end; a progress bar on standard error shows how it goes."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("waiting", total=1.0)

        def show(told: RestoreStatus) -> None:
            words = told.stage.replace("_", " ") if told.state == "running" else told.state.replace("_", " ")
            progress.update(bar, completed=told.progress, description=words)

        return desk.wait(which, on_change=show, timeout_s=timeout_s)
