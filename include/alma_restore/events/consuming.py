"""Requests from the exchange: each StartWorkflow event is stored, acknowledged, and then given its Airflow run.

A message is acknowledged only once its request is stored, so that nothing is lost; the same event again is the same
request, so that nothing is doubled. Runs are started from what is stored: an Airflow that is away delays them, and
neither blocks the queue nor loses one when this program is restarted.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel

from alma_restore import log_fields
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import Misconfigured, NotAvailable, Refused
from alma_restore.events.broker import channel, keep_going
from alma_restore.request import RestoreRequest
from alma_restore.request_events import parse_start_workflow
from alma_restore.settings import EventsSettings

log = logging.getLogger(__name__)

START_WORKFLOW = "edu.nrao.archive.workflow.messaging.commands.StartWorkflow"
RESTORE_WORKFLOW = "AlmaOusRestoreWorkflow"

AT_ONCE = 20
"""Messages that the broker hands over before the first of them is acknowledged."""

IDLE_S = 1.0
RUNS_EVERY_S = 10.0
_RUNS_AT_ONCE = 50
"""Runs started in one go; the broker wants to hear from us in between."""
_REASON_LENGTH = 2000

StartRun = Callable[[RestoreRequest], object]


class Consumer:
    """Turns events into requests until it is told to stop.

    Args:
        where: the broker.
        names: what exchange and queues are called.
        catalogue: where requests are stored.
        start_run: has Airflow carry a request out; asked twice for one, it starts one run.
    """

    def __init__(
        self, where: pika.ConnectionParameters, names: EventsSettings, catalogue: Catalogue, start_run: StartRun
    ) -> None:
        self._where = where
        self._names = names
        self._catalogue = catalogue
        self._start_run = start_run

    def run(self, stop: threading.Event) -> None:
        """Consume until `stop` is set; a broker or a catalogue that goes away is waited for.

        Raises:
            Misconfigured: the broker does not let us in.
        """
        keep_going(lambda: self._consume(stop), stop)

    def _consume(self, stop: threading.Event) -> None:
        with channel(self._where, self._names) as opened:
            log.info("Listening to %s on %s.", self._names.binding, self._names.exchange)
            opened.basic_qos(prefetch_count=AT_ONCE)
            looked = 0.0
            for method, properties, body in opened.consume(self._names.queue, inactivity_timeout=IDLE_S):
                if method is not None:
                    self._take(opened, method, properties, body)
                if method is not None or time.monotonic() - looked > RUNS_EVERY_S:
                    self._start_runs()
                    looked = time.monotonic()
                if stop.is_set():
                    opened.cancel()
                    return

    def _take(self, opened: BlockingChannel, method: Any, properties: Any, body: bytes) -> None:
        """One message: store its request, put it aside, or leave it to others; then acknowledge it."""
        try:
            if is_ours(body):
                asked = parse_start_workflow(body, properties.app_id or self._names.exchange)
                record = self._catalogue.open_request(asked)
                with log_fields.bound(record.id, record.mous_uid, "accepted"):
                    log.info("%s is asked for: request %s.", asked.mous_uid or asked.eb_uid, record.id)
        except Refused as refusal:
            log.warning("A message cannot be read: %s", refusal)
            self._put_aside(opened, method, properties, body, refusal)
        opened.basic_ack(method.delivery_tag)

    def _put_aside(self, opened: BlockingChannel, method: Any, properties: Any, body: bytes, refusal: Refused) -> None:
        """Keep a message that cannot be read, with the reason; it is acknowledged only after the broker has it.

        The broker takes a message in nobody's name but our own, and drops one whose time is over.
        """
        theirs = {"x-user-id": properties.user_id, "x-expiration": properties.expiration}
        properties.user_id = properties.expiration = None
        properties.headers = {
            **(properties.headers or {}),
            **{name: value for name, value in theirs.items() if value is not None},
            "x-reason": str(refusal)[:_REASON_LENGTH],
            "x-code": refusal.code,
            "x-exchange": method.exchange,
            "x-routing-key": method.routing_key,
        }
        properties.delivery_mode = pika.DeliveryMode.Persistent.value
        opened.basic_publish("", self._names.dead_letters, body, properties, mandatory=True)

    def _start_runs(self) -> None:
        """Start a run for every stored request that has none.

        Whatever Airflow says that is not about one request itself lets all of them wait.
        """
        for record in self._catalogue.waiting_for_a_run()[:_RUNS_AT_ONCE]:
            try:
                with log_fields.bound(record.id, record.mous_uid, "accepted"):
                    self._start(record)
            except (NotAvailable, Misconfigured) as error:  # or something else answers in Airflow's place
                log.warning("%s Requests wait; they are started later.", error)
                return

    def _start(self, record: RequestRecord) -> None:
        asked = record.asked
        try:
            self._start_run(asked)
        except Refused as refusal:
            if refusal.code != "bad_request":
                raise NotAvailable(refusal.sentence, remedy=refusal.remedy) from refusal
            self._catalogue.fail(record.id, refusal, "open_request")  # told by the broker, and mailed by clean_spool
        else:
            self._catalogue.open_request(asked, asked.run_id)


def is_ours(body: bytes) -> bool:
    """Whether a message of the shared exchange asks for a restore, or for nobody knows what.

    Other applications' events and other workflows' commands are left to those whom they concern.

    Raises:
        Refused: (code `bad_event`) it is no JSON object.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"The message is no JSON: {error}.", code="bad_event") from error
    if not isinstance(event, dict):
        raise Refused(f"The message is no JSON object but {type(event).__name__}.", code="bad_event")
    metadata = event.get("metadata")
    workflow = metadata.get("workflowName") if isinstance(metadata, dict) else None
    return event.get("type") == START_WORKFLOW and workflow in (RESTORE_WORKFLOW, None)
