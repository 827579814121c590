"""`alma-restore find-mous` and `backfill`: what the archive holds, and what restoring past days would take."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alma_restore.cli.options import DATES, AsJson, utc
from alma_restore.cli.output import coloured_state, console, moment_of, print_json, print_table
from alma_restore.errors import Refused

if TYPE_CHECKING:
    from alma_restore.client.backfill import BackfillPlan


def find_mous(
    text: Annotated[
        str,
        typer.Argument(help="Uid of an MOUS or of one of its execution blocks, or a project code (or its beginning)."),
    ] = "",
    source: Annotated[str, typer.Option(help="The beginning of a source's name, as the archive spells it.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=500)] = 25,
    as_json: AsJson = False,
) -> None:
    """Find MOUSs in the archive, and tell whether they can be restored.

    Examples:

        alma-restore find-mous uid://A002/Xd248b5/Xa7a

        alma-restore find-mous 2017.1.00370.S

        alma-restore find-mous --source NGC1068 --json
    """
    from alma_restore.client import connections, lookup
    from alma_restore.client.reach import reachable_catalogue
    from alma_restore.settings import settings

    if not text and not source:
        raise typer.BadParameter("Give a uid, a project code, or --source.")
    found, more = lookup.find_mous(
        connections.metadata(), reachable_catalogue(settings()), text, source=source, limit=limit
    )
    if not found:
        raise Refused(f"The archive knows no MOUS of {text or source!r}.", code="unknown_uid")
    if as_json:
        print_json([mous.as_json() for mous in found])
        return
    rows = [
        (
            mous.mous_uid,
            " ".join(mous.projects),
            " ".join(mous.sources),
            " ".join(mous.bands),
            f"{mous.passed}/{len(mous.eb_uids)}",
            moment_of(mous.calibrated_at),
            coloured_state(mous.state) if mous.state else "yes" if mous.restorable else mous.reason,
        )
        for mous in found
    ]
    print_table(["MOUS", "project", "sources", "bands", "EBs passed", "calibrated", "can be restored"], rows)
    if more:
        console().print(f"There are more than {limit}; --limit shows more.")


def backfill(
    start: Annotated[datetime, typer.Option("--from", help="The first day (UTC).", formats=DATES)],
    end: Annotated[datetime, typer.Option("--to", help="The day after the last one (UTC).", formats=DATES)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what it would do.")] = False,
    newest_first: Annotated[bool, typer.Option(help="Begin with the latest day.")] = False,
    at_once: Annotated[int, typer.Option(help="Days looked at side by side.", min=1, max=16)] = 1,
    as_json: AsJson = False,
) -> None:
    """Restore the MOUSs that were calibrated in past days; never twice, at the pace of `restore_mous`.

    Examples:

        alma-restore backfill --from 2024-01-01 --to 2024-02-01 --dry-run

        alma-restore backfill --from 2024-01-01 --to 2024-02-01 --newest-first
    """
    first, behind = utc(start), utc(end)
    if first is None or behind is None or first >= behind:
        raise typer.BadParameter("--from has to lie before --to.")
    if dry_run:
        planned = _plan(first, behind)
        if as_json:
            print_json(planned.as_json())
        else:
            _print_plan(planned)
        return
    created = _start(first, behind, newest_first, at_once)
    if as_json:
        print_json(created)
    else:
        console().print(f"Backfill {created['id']} is started; `alma-restore list` shows what it asks for.")


def _plan(start: datetime, end: datetime) -> BackfillPlan:
    from alma_restore.client import connections
    from alma_restore.client.backfill import RawSizes, plan
    from alma_restore.client.reach import reachable_catalogue
    from alma_restore.settings import settings

    here = settings()
    sizes = RawSizes(connections.asdm_folder(), here.disk.unknown_eb_bytes)
    return plan(connections.metadata(), reachable_catalogue(here), sizes, start, end)


def _start(start: datetime, end: datetime, newest_first: bool, at_once: int) -> dict[str, Any]:
    from alma_restore.client.backfill import start_backfill
    from alma_restore.client.rest import AirflowRest, Credentials
    from alma_restore.settings import settings

    airflow = AirflowRest(settings().airflow_url, Credentials.from_environment())
    return start_backfill(airflow, start, end, newest_first=newest_first, at_once=at_once)


def _print_plan(planned: BackfillPlan) -> None:
    """The table of outcomes, and what the restores would take."""
    say = console().print
    say(f"MOUSs calibrated from {planned.start:%Y-%m-%d} up to {planned.end:%Y-%m-%d}:\n")
    if planned.table.empty:
        say("None.")
        return
    say(planned.table.rename(columns=lambda name: name.replace("_", " ")).round(3).to_string())
    sizes = "" if planned.sizes_known else ", by what is planned for an execution block of unknown size"
    say(f"\nWould be restored: {planned.to_restore}, from {planned.raw_gb:.3g} GB of raw data{sizes}.")
    if planned.takes is None:
        say("How long that takes cannot be told: no earlier restore is there to measure.")
    else:
        earlier = "1 earlier restore" if planned.measured_on == 1 else f"{planned.measured_on} earlier restores"
        measured = f"{planned.seconds_per_gb:.3g} s a GB, measured on {earlier}"
        say(f"One after another they take about {_duration(planned.takes.total_seconds())} ({measured}).")
    say("The windows of detection overlap: what was calibrated shortly before is looked at as well.")


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
