"""What happens to requests, told on the exchange under the correlation id that each came with.

The last change that the broker confirmed is remembered in the catalogue, so that none is lost, whatever stops. One
confirmed just before a crash is told again: at least once, with the same `message_id` each time.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from alma_restore import log_fields
from alma_restore.catalogue.changes import Change
from alma_restore.catalogue.states import DELIVERED
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import Misconfigured
from alma_restore.events.broker import channel, keep_going
from alma_restore.settings import EventsSettings

log = logging.getLogger(__name__)

CURSOR = "events.published"
EVENT_NAME = "almaRestoreStateChanged"
EVENT_TYPE = "alma_restore.RestoreStateChanged"

POLL_S = 1.0

_LONGEST = 255
"""Bytes of a correlation id that a message can say: a short string of AMQP."""


class Publisher:
    """Tells changes of state until it is told to stop.

    Args:
        where: the broker.
        names: what the exchange is called, and our name on it.
        catalogue: tells what changed; also keeps how far we came.
    """

    def __init__(self, where: pika.ConnectionParameters, names: EventsSettings, catalogue: Catalogue) -> None:
        self._where = where
        self._names = names
        self._catalogue = catalogue

    def skip_the_past(self) -> None:
        """Begin with what comes now, where nothing was ever told."""
        if not self._catalogue.cursor(CURSOR):
            self._catalogue.set_cursor(CURSOR, str(self._catalogue.last_change()))

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set; a broker or a catalogue that goes away is waited for.

        Raises:
            Misconfigured: the broker does not let us in.
        """
        keep_going(lambda: self._publish(stop), stop)

    def _publish(self, stop: threading.Event) -> None:
        with channel(self._where, self._names) as opened:
            log.info("Telling changes on %s under %s.event.", self._names.exchange, self._names.application)
            while not stop.is_set():
                if not self._tell_news(opened):
                    opened.connection.sleep(POLL_S)

    def _tell_news(self, opened: BlockingChannel) -> int:
        """Publish what changed since the last time; how many changes."""
        changes = self._catalogue.changes(after=int(self._catalogue.cursor(CURSOR) or 0))
        for change in changes:
            opened.basic_publish(
                self._names.exchange,
                f"{self._names.application}.event",
                json.dumps(self._event(change)).encode(),
                pika.BasicProperties(
                    app_id=self._names.application,
                    content_type="application/json",
                    correlation_id=change.request.correlation_id.encode()[:_LONGEST].decode(errors="ignore"),
                    delivery_mode=pika.DeliveryMode.Persistent.value,
                    message_id=f"{self._names.application}-{change.id}",
                    timestamp=int(change.at.timestamp()),
                    type=EVENT_NAME,
                ),
            )
            self._catalogue.set_cursor(CURSOR, str(change.id))
            with log_fields.bound(change.request.id, change.request.mous_uid, change.stage):
                log.info("Told that it is %s.", change.state)
        return len(changes)

    def _event(self, change: Change) -> dict[str, Any]:
        """The event of one change, in the words of the StartWorkflow event where it has them."""
        request = change.request
        metadata: dict[str, Any] = {
            "workflowName": "AlmaOusRestoreWorkflow",
            "telescope": "ALMA",
            "cliCorrId": request.correlation_id,
            "ousStatusId": request.mous_uid,
            "requestId": request.id,
            "requestNumber": request.number,
            "state": change.state,
            "stage": change.stage,
            "note": change.note,
            "spoolFolder": request.workspace,
        }
        if change.state in DELIVERED and (delivery := self._catalogue.delivery(request.id)):
            metadata["deliveryLocation"] = delivery.path
        return {
            "eventName": EVENT_NAME,
            "type": EVENT_TYPE,
            "eventId": change.id,
            "at": change.at.isoformat(),
            "metadata": metadata,
        }


@contextmanager
def only_publisher(home: Path) -> Iterator[None]:
    """Be the only publisher on this machine: two would tell everything twice.

    Raises:
        Misconfigured: another one is running.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "events-publisher.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                f"Another publisher of {home} is running.", remedy="One is enough; stop it first."
            ) from error
        yield
