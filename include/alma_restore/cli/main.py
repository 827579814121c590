"""The command `alma-restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from alma_restore import __version__
from alma_restore.cli import archive, doctor, events, requests
from alma_restore.cli.exits import Commands

app = typer.Typer(
    name="alma-restore",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Restore calibrated ALMA data: ask a running Airflow for restores, and follow them.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 not available now, 4 misconfigured.",
)

app.command()(requests.request)
app.command()(requests.status)
app.command("list")(requests.list_restores)
app.command()(requests.cancel)
app.command()(requests.retry)
app.command("find-mous")(archive.find_mous)
app.command()(archive.backfill)
app.command()(doctor.doctor)
app.add_typer(events.app, name="events")


def _print_version(chosen: bool) -> None:
    if chosen:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass
