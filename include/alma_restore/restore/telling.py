"""Telling: who asked for a restore, or joined it, is mailed what becomes of it; each alone, and once.

A mail that cannot be sent is noted in the request's history, and changes nothing else.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.errors import Inconsistent
from alma_restore.mail import compose, send
from alma_restore.mail.compose import Occasion
from alma_restore.mail.send import Outcome
from alma_restore.request import UNASKED
from alma_restore.restore.house import House
from alma_restore.workspace import Workspace


def tell_accepted(house: House, request_id: str) -> None:
    """Say that a restore has begun, to who asked for it in person; attempts after the first one are not told."""
    record = house.catalogue.get(request_id)
    if record.attempt == 1 and record.origin not in UNASKED:
        tell(house, record, "accepted", since=record.created_at)


def tell_end(house: House, record: RequestRecord) -> list[Outcome]:
    """Say how a request ended, once for each attempt; while it goes on, nothing is said.

    Returns:
        How it went, for each who was not told before.
    """
    occasion = compose.occasion_of(record)
    if occasion is None:
        return []
    began = max(line.at for line in house.catalogue.history(record.id) if line.state == "accepted")
    delivery = house.catalogue.delivery(record.id) if record.state in ("delivered", "delivered_with_warnings") else None
    return tell(house, record, occasion, since=began, delivery=delivery)


def join(house: House, request_id: str, name: str, email: str) -> RequestRecord:
    """Somebody joins a request that another made; of one that has ended they are told at once."""
    record = house.catalogue.join(request_id, name, email)
    if record.ended:
        tell_end(house, record)
    return record


def tell(
    house: House, record: RequestRecord, occasion: Occasion, *, since: datetime, delivery: DeliveryRecord | None = None
) -> list[Outcome]:
    """Mail everybody who waits for a request and has not been told of this since a moment.

    Returns:
        How it went, for each who was not told before.
    """
    history = [line for line in house.catalogue.history(record.id) if line.at >= since]
    told = {line.note for line in history}
    outcomes = []
    for recipient in house.catalogue.addresses(record.id):
        try:
            message = compose.compose(
                occasion,
                record,
                house.settings.mail,
                to=recipient,
                delivery=delivery,
                measurement_sets=_measurement_sets(record) if delivery else (),
                link=house.page_of(record.id),
                note=next((line.note for line in history if line.state == record.state), ""),
            )
        except Inconsistent as error:  # the address was taken as one, and is none that mail can go to
            outcome = Outcome(False, error.sentence)
        else:
            if send.note(message) in told:
                continue
            outcome = send.send(message, house.send_mail)
        house.catalogue.note(record.id, outcome.note)
        outcomes.append(outcome)
    return outcomes


def _measurement_sets(record: RequestRecord) -> list[str]:
    if not record.workspace:
        return []
    return sorted(path.name for path in Workspace(Path(record.workspace)).products.glob("*.ms"))
