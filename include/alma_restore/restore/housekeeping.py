"""Housekeeping: what is left when restores have ended, or have lost the run that should have ended them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta, timezone
from pathlib import Path

from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import ACTIVE, ENDS, State
from alma_restore.delivery import expiry
from alma_restore.delivery.expiry import Removal
from alma_restore.errors import Misconfigured, RestoreError
from alma_restore.restore import closing, telling
from alma_restore.restore.house import House

_A_PAGE = 500

_CLOSED_AFTER = timedelta(hours=1)
"""An end that is older than this has been dealt with by its own run, as far as that could."""

_TOLD_WITHIN = timedelta(days=3)
"""An end that nobody could be told for so long is told no more."""
_BEGAN_WITHIN = timedelta(days=30)
"""Of requests that are older nobody waits for the end."""


def tell_ends_again(house: House) -> list[str]:
    """Tell ends whose mail could not be sent, or that no run was there to tell; what was sent or why it was not."""
    now = datetime.now(timezone.utc)
    told = []
    for record in _requests(house, now - _CLOSED_AFTER, ENDS, since=now - _BEGAN_WITHIN):
        if record.ended_at and now - _TOLD_WITHIN < record.ended_at < now - _CLOSED_AFTER:
            told += [outcome.note for outcome in telling.tell_end(house, record)]
    return told


def warn_before_expiry(house: House) -> list[str]:
    """Tell requesters, once, that their delivery is about to expire; what was sent or why it was not."""
    before = datetime.now(timezone.utc) + timedelta(days=house.settings.delivery.warn_days)
    notes = []
    for delivery in house.catalogue.expiring_deliveries(before):
        record = house.catalogue.get(delivery.request_id)
        told = telling.tell(house, record, "about_to_expire", since=delivery.delivered_at, delivery=delivery)
        notes += [outcome.note for outcome in told]
        if all(outcome.sent for outcome in told):
            house.catalogue.mark_warned(record.id)
    return notes


def expire_deliveries(house: House) -> tuple[Removal, ...]:
    """Remove the deliveries that are beyond their time and that nobody asked to keep."""
    return expiry.remove_expired(house.catalogue, house.settings, datetime.now(timezone.utc))


def remove_old_workspaces(house: House) -> list[str]:
    """Stop what CASA still does for ended requests, and remove what they left in the spool.

    That is done once it has been there for `workspace_keep_days`, and at once where nothing is kept: there its CASA
    could not be stopped when the request ended. A workspace in which CASA may still be at work stays.

    Raises:
        Misconfigured: some cannot be removed; all others have been.
    """
    now = datetime.now(timezone.utc)
    until = now - timedelta(days=house.settings.workspace_keep_days)
    spool = house.settings.spool_root.resolve()
    removed, problems = [], []
    for request_id in house.catalogue.with_workspace():
        record = house.catalogue.get(request_id)  # it may have been tried again while others were removed
        folder, ended_at = Path(record.workspace), record.ended_at
        if not (record.workspace and ended_at and folder.resolve().parent == spool and folder.exists()):
            continue
        is_due = ended_at < until or (ended_at < now - _CLOSED_AFTER and not closing.is_kept(house, record))
        if closing.stop_casa(house, record) and is_due:
            try:
                closing.remove_workspace(house, record)
            except OSError as error:
                problems.append(f"{folder}: {error}")
            else:
                removed.append(str(folder))
    if problems:
        raise Misconfigured(
            f"{len(problems)} workspaces cannot be removed: {'; '.join(problems)}.",
            remedy="Remove them by hand, or mend their owner or their disk.",
        )
    return removed


def end_lost_requests(house: House, is_active: Callable[[str], bool]) -> list[RequestRecord]:
    """End requests whose run has ended without a word: stored, mailed, their disk given back.

    What waits for a run is left to whoever starts it (an event; docs/events.md).

    Args:
        is_active: whether the Airflow run of this id is still to do something.

    Raises:
        Misconfigured: some cannot be ended; all others have been.
    """
    until = datetime.now(timezone.utc) - _CLOSED_AFTER
    active = [record for record in _requests(house, until, ACTIVE) if record.updated_at < until]
    lost = [record for record in active if record.run_id and not is_active(record.run_id)]
    ended, problems = [], []
    for record in lost:
        try:
            ended.append(closing.close(house, record.id))
        except (RestoreError, OSError) as error:
            problems.append(f"{record.id}: {error}")
    if problems:
        raise Misconfigured(
            f"{len(problems)} requests whose run is gone cannot be ended: {'; '.join(problems)}.",
            remedy="Mend what they name; the next run of clean_spool ends them.",
        )
    return ended


def _requests(
    house: House, until: datetime, states: Collection[State] = (), since: datetime | None = None
) -> list[RequestRecord]:
    """All requests made before a moment and since another, or those in some states."""
    found: list[RequestRecord] = []
    while page := house.catalogue.find(
        states=states, since=since, until=until, limit=_A_PAGE, offset=len(found)
    ).requests:
        found += page
    return found
