"""What commands print: JSON for programs, tables and sentences for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

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
    """Standard output as it is now; where it is no terminal, plain and with whole lines, for other programs.

    A text is printed as it is, whatever is in brackets: what comes from outside styles nothing. `Text` has the styles.
    """
    width = None if sys.stdout.isatty() else _NO_TERMINAL_WIDTH
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False, width=width)


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, default=str))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print a table; only its last column is broken into lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    for row in rows:
        table.add_row(*row)
    console().print(table)


def coloured_state(state: str) -> Text:
    """A state in words and in its colour."""
    return Text(state.replace("_", " "), _COLOURS.get(state, ""))


def print_status(told: RestoreStatus) -> None:
    """All that is known of one restore, a line a fact."""
    facts: list[tuple[str, str | Text]] = [
        ("restore", f"{told.number} ({told.request_id})" if told.number is not None else ""),
        ("MOUS", told.mous_uid or ""),
        ("state", coloured_state(told.state)),
        ("stage", "" if told.delivered else told.stage),
        ("reason", told.reason),
        ("what to do", told.remedy if told.ended else ""),
        ("warnings", "\n".join(told.warnings)),
        ("delivered to", told.delivered_to),
        ("size", size_of(told.size_bytes)),
        ("kept until", moment_of(told.expires_at)),
        ("CASA", told.casa_policy),
        ("spool folder", told.workspace),
        ("asked for", moment_of(told.created_at)),
        ("ended", moment_of(told.ended_at)),
        ("Airflow run", told.run_id),
        ("log ends with", told.log_tail),
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
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("waiting", total=1.0)

        def show(told: RestoreStatus) -> None:
            words = told.stage.replace("_", " ") if told.state == "running" else told.state.replace("_", " ")
            progress.update(bar, completed=told.progress, description=words)

        return desk.wait(which, on_change=show, timeout_s=timeout_s)
