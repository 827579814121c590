"""`alma-restore request`, `status`, `list`, `cancel` and `retry`.

What takes long to import is imported where it is used: help and shell completion are to come at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.text import Text

from alma_restore.catalogue.states import State
from alma_restore.cli.exits import Exit
from alma_restore.cli.options import DATES, AsJson, Wait, Which, utc
from alma_restore.cli.output import (
    coloured_state,
    console,
    moment_of,
    print_json,
    print_status,
    print_table,
    wait_with_bar,
)

if TYPE_CHECKING:
    from alma_restore.client.desk import Desk
    from alma_restore.client.restores import RestoreStatus

Timeout = Annotated[float | None, typer.Option(help="Give up waiting after so many seconds; the restore goes on.")]


STATES: tuple[str, ...] = get_args(State)


def _known_states(chosen: list[str] | None) -> list[str] | None:
    if unknown := set(chosen or ()) - set(STATES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))} is none of: {', '.join(STATES)}.")
    return chosen


def request(
    uid: Annotated[str, typer.Argument(help="The MOUS, or with --eb one of its execution blocks.", metavar="UID")],
    eb: Annotated[bool, typer.Option("--eb", help="UID is that of an execution block; its MOUS is looked up.")] = False,
    casa: Annotated[str, typer.Option(help="CASA version or folder; default: the one that calibrated.")] = "",
    email: Annotated[str, typer.Option(help="Who is told how it ended.")] = "",
    destination: Annotated[str, typer.Option(help="Folder or sftp:// URL; default: the delivery folder.")] = "",
    split_intent: Annotated[str, typer.Option(help="Split off and deliver only this; TARGET if left out.")] = "",
    split_field: Annotated[str, typer.Option(help="Split off only these fields.")] = "",
    split_spw: Annotated[str, typer.Option(help="Split off only these spectral windows: 17,19 or 17~23.")] = "",
    chanbin: Annotated[int | None, typer.Option(help="Split off, so many channels averaged into one.")] = None,
    timebin: Annotated[str, typer.Option(help="Split off, so long averaged into one integration: 30s.")] = "",
    keep_full: Annotated[
        bool, typer.Option("--keep-full", help="With a split: the whole MeasurementSets too.")
    ] = False,
    tar: Annotated[bool, typer.Option("--tar", help="Each MeasurementSet as one tar file.")] = False,
    correlation_id: Annotated[str, typer.Option(help="Your own key: asking twice under one is one restore.")] = "",
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a restore.

    Examples:

        alma-restore request uid://A001/X12d1/X23e --email me@example.org

        alma-restore request uid://A001/X12d1/X23e --casa 6.6.1-17 --wait

        alma-restore request uid://A001/X12d1/X23e --split-intent TARGET --chanbin 4 --timebin 30s --tar

        alma-restore request --eb uid://A002/Xd248b5/Xa7a --json
    """
    split = {
        "intent": split_intent,
        "field": split_field,
        "spw": split_spw,
        "chanbin": chanbin,
        "timebin": timebin,
        "keep_full": keep_full,
    }
    fields: dict[str, Any] = {
        "eb_uid" if eb else "mous_uid": uid,
        "casa_version": casa,
        "email": email,
        "destination": destination,
        "split": {name: value for name, value in split.items() if value},
        "tar": tar,
        "origin": "command",
    }
    if correlation_id:
        fields["correlation_id"] = correlation_id
    from alma_restore.request import RestoreRequest

    asked = RestoreRequest.parse(fields)
    desk = _desk()
    told, is_new = desk.request(asked)
    if wait:
        told = wait_with_bar(desk, told.run_id, timeout)
    if as_json:
        print_json(told.as_json() | {"is_new": is_new})
    elif wait:
        print_status(told)
    else:
        _print_asked(told, uid, is_new)
    _exit(told)


def status(which: Which, wait: Wait = False, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Tell how a restore fares; exit code 1 when it was refused, failed or was cancelled.

    Examples:

        alma-restore status 75711

        alma-restore status uid://A001/X12d1/X23e --wait

        alma-restore status 75711 --json | jq -r .delivered_to
    """
    desk = _desk()
    told = wait_with_bar(desk, which, timeout) if wait else desk.status(which)
    if as_json:
        print_json(told.as_json())
    else:
        print_status(told)
    _exit(told)


def list_restores(
    state: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(STATES)}; repeatable.", callback=_known_states)
    ] = None,
    uid: Annotated[str, typer.Option(help="Restores of this MOUS, or for this execution block.")] = "",
    email: Annotated[str, typer.Option(help="Restores asked for under this address.")] = "",
    since: Annotated[datetime | None, typer.Option(help="Asked for since this day (UTC).", formats=DATES)] = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List restores, the newest first.

    Examples:

        alma-restore list

        alma-restore list --state failed --state refused --since 2026-11-01

        alma-restore list --uid uid://A001/X12d1/X23e --json
    """
    states = [cast(State, each) for each in state or []]
    told = _desk().restores(states=states, uid=uid, email=email, since=utc(since), limit=limit)
    if as_json:
        print_json([each.as_json() for each in told])
        return
    rows = [
        (
            str(each.number) if each.number is not None else each.correlation_id,
            each.mous_uid or each.eb_uid or "",
            coloured_state(each.state),
            "" if each.delivered else each.stage,
            each.email or each.requested_by,
            moment_of(each.created_at),
        )
        for each in told
    ]
    print_table(["restore", "MOUS", "state", "stage", "for", "asked for"], rows)


def cancel(
    which: Which,
    note: Annotated[str, typer.Option(help="Why, for the restore's history.")] = "Cancelled by the asker.",
    as_json: AsJson = False,
) -> None:
    """Stop a restore with everything it started, and clean up after it.

    Examples:

        alma-restore cancel 75711

        alma-restore cancel uid://A001/X12d1/X23e --note "Wrong CASA version."
    """
    _print_changed(_desk().cancel(which, note), as_json)


def retry(
    which: Which,
    from_start: Annotated[bool, typer.Option("--from-start", help="Everything anew.")] = False,
    wait: Wait = False,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Run an ended restore again: what had not been done, or everything.

    Examples:

        alma-restore retry 75711 --wait

        alma-restore retry 75711 --from-start
    """
    desk = _desk()
    told = desk.retry(which, from_start)
    if not wait:
        _print_changed(told, as_json)
        return
    told = wait_with_bar(desk, told.run_id, timeout)
    if as_json:
        print_json(told.as_json())
    else:
        print_status(told)
    _exit(told)


def _desk() -> Desk:
    from alma_restore.client.desk import Desk

    return Desk.opened()


def _print_asked(told: RestoreStatus, uid: str, is_new: bool) -> None:
    if is_new:
        console().print(f"The restore of {uid} is asked for.")
    else:
        console().print(Text.assemble("This restore was asked for before; it is ", coloured_state(told.state), "."))
    console().print(f"Follow it: alma-restore status {told.correlation_id} --wait")


def _print_changed(told: RestoreStatus, as_json: bool) -> None:
    if as_json:
        print_json(told.as_json())
    else:
        what = f"The restore of {told.mous_uid or told.eb_uid} is "
        console().print(Text.assemble(what, coloured_state(told.state), "."))


def _exit(told: RestoreStatus) -> None:
    """A restore that ended without a delivery ends the command with a failure."""
    if told.ended and not told.delivered and told.state != "expired":
        raise typer.Exit(Exit.FAILED)
