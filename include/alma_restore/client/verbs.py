"""The same few verbs as the command line, for notebooks and programs.

    >>> from alma_restore import request_restore, wait_for
    >>> asked = request_restore("uid://A001/X12d1/X23e", email="me@example.org")
    >>> wait_for(asked).delivered_to
    '/deliveries/uid___A001_X12d1_X23e_75711'

Where Airflow is, and how to log in, is told by the environment (docs/commands.md). What goes wrong is one of the errors
of `alma_restore.errors`, with a sentence and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alma_restore.catalogue.states import State
from alma_restore.client import connections, lookup
from alma_restore.client.desk import Desk
from alma_restore.client.lookup import FoundMous
from alma_restore.client.reach import reachable_catalogue
from alma_restore.client.rest import Credentials
from alma_restore.client.restores import RestoreStatus
from alma_restore.request import RestoreRequest
from alma_restore.settings import Settings, load
from alma_restore.split import SplitOptions

if TYPE_CHECKING:
    from alma_restore.client.backfill import BackfillPlan

Which = str | RestoreStatus
"""A restore: what a verb returned, or its number, request id, run id, correlation id, or an MOUS uid (its newest)."""


def request_restore(
    mous_uid: str = "",
    *,
    eb_uid: str = "",
    casa_version: str = "",
    email: str = "",
    destination: str = "",
    split: SplitOptions | None = None,
    tar: bool = False,
    correlation_id: str = "",
) -> RestoreStatus:
    """Ask for the restore of one MOUS; the answer comes at once, the restore takes its time.

    Args:
        mous_uid: the MOUS; or `eb_uid`: one of its execution blocks.
        casa_version: which CASA restores; empty: the one that calibrated, or the nearest newer one.
        email: who is told how it ended.
        destination: folder or sftp:// URL; empty: the default delivery folder.
        split: what to split off and average, such as `SplitOptions(intent="TARGET", chanbin=2)`; None: nothing.
        tar: deliver each MeasurementSet as one tar file.
        correlation_id: your own key; asking twice under one key is one restore.

    Raises:
        Refused: a field is wrong, or Airflow does not let you.
        NotAvailable: Airflow does not answer.
    """
    fields: dict[str, Any] = {
        "mous_uid": mous_uid,
        "eb_uid": eb_uid,
        "casa_version": casa_version,
        "email": email,
        "destination": destination,
        "split": split,
        "tar": tar,
        "origin": "command",
    }
    if correlation_id:
        fields["correlation_id"] = correlation_id
    told, _ = _desk().request(RestoreRequest.parse(fields))
    return told


def status(which: Which) -> RestoreStatus:
    """How a restore fares now.

    Raises:
        Refused: (code `unknown_request`) there is none.
    """
    return _desk().status(_name(which))


def wait_for(
    which: Which, *, timeout_s: float | None = None, on_change: Callable[[RestoreStatus], None] = lambda _: None
) -> RestoreStatus:
    """Wait for a restore's end; how it ended.

    Args:
        on_change: told of each new state, stage or step of progress.

    Raises:
        NotAvailable: it took longer than `timeout_s`, or nobody answered for ten minutes.
    """
    return _desk().wait(_name(which), on_change=on_change, timeout_s=timeout_s)


def list_restores(
    *,
    states: Collection[State] = (),
    uid: str = "",
    email: str = "",
    since: datetime | None = None,
    limit: int = 20,
) -> list[RestoreStatus]:
    """The newest restores that fit all of what is given."""
    return _desk().restores(states=states, uid=uid, email=email, since=since, limit=limit)


def cancel(which: Which, note: str = "Cancelled by the asker.") -> RestoreStatus:
    """Stop a restore with everything it started.

    Raises:
        Refused: it has ended already, or Airflow does not let you.
    """
    return _desk().cancel(_name(which), note)


def retry(which: Which, *, from_start: bool = False) -> RestoreStatus:
    """Run an ended restore again: what had not been done, or everything.

    Raises:
        Refused: it has not ended, or it delivered.
    """
    return _desk().retry(_name(which), from_start)


def find_mous(text: str = "", *, source: str = "", limit: int = 25) -> list[FoundMous]:
    """MOUSs of the archive, and whether they can be restored.

    Args:
        text: uid of an MOUS or of one of its execution blocks, or the beginning of a project code.
        source: the beginning of a source's name, as the archive spells it.

    Raises:
        Misconfigured: `AIRFLOW_CONN_ALMA_METADATA` is not set.
    """
    found, _ = lookup.find_mous(connections.metadata(), reachable_catalogue(load()), text, source=source, limit=limit)
    return found


def plan_backfill(start: datetime, end: datetime) -> BackfillPlan:
    """What restoring the MOUSs calibrated in start <= day < end would take; its `table` is a pandas DataFrame.

    Raises:
        Misconfigured: `AIRFLOW_CONN_ALMA_METADATA` is not set.
    """
    from alma_restore.client import backfill

    here = load()
    sizes = backfill.RawSizes(connections.asdm_folder(), here.disk.unknown_eb_bytes)
    return backfill.plan(connections.metadata(), reachable_catalogue(here), sizes, start, end)


@lru_cache(maxsize=1)
def _opened(here: Settings, _: Credentials) -> Desk:
    return Desk.opened(here)


def _desk() -> Desk:
    """One desk, so that one log-in serves all verbs, for as long as the environment tells the same.

    Who is told to set a variable sets it and goes on; a catalogue that has come into reach since counts.
    """
    here = load()
    desk = _opened(here, Credentials.from_environment())
    desk.catalogue = desk.catalogue or reachable_catalogue(here)
    return desk


def _name(which: Which) -> str:
    return which if isinstance(which, str) else which.request_id or which.run_id
