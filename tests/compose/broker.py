"""Another application at the composed broker: it asks for a restore, and hears what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from stack import address

EXCHANGE, MAILBOX = "archive.events", "another.application"


class Broker:
    """The broker of the profile `events`.

    Args:
        secrets: the folder that make-secrets.sh filled.
    """

    def __init__(self, secrets: Path) -> None:
        self._login = pika.PlainCredentials("alma-restore", (secrets / "rabbitmq_password").read_text())
        self._heard: dict[str, dict[str, Any]] = {}

    @contextmanager
    def _channel(self) -> Iterator[BlockingChannel]:
        with pika.BlockingConnection(pika.ConnectionParameters(address("rabbitmq"), credentials=self._login)) as opened:
            yield opened.channel()

    def listen(self) -> None:
        """Have everything kept that our programs tell from now on."""
        with self._channel() as channel:
            channel.queue_declare(MAILBOX, durable=True)
            channel.queue_bind(MAILBOX, EXCHANGE, routing_key="alma-restore.event")

    def ask(self, mous_uid: str, key: str) -> None:
        metadata = {"workflowName": "AlmaOusRestoreWorkflow", "telescope": "ALMA", "deliveryFormat": "CMS"}
        event = {
            "eventName": "runAlmaBasicRestoreWorkflow",
            "type": "edu.nrao.archive.workflow.messaging.commands.StartWorkflow",
            "metadata": {**metadata, "ousStatusId": mous_uid, "cliCorrId": key},
        }
        with self._channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(EXCHANGE, "another.event", json.dumps(event).encode(), mandatory=True)

    def told(self) -> list[dict[str, Any]]:
        """Everything told so far, each message once, in the order it came."""
        with self._channel() as channel:
            while True:
                method, properties, body = channel.basic_get(MAILBOX, auto_ack=True)
                if method is None or properties is None or body is None:
                    return list(self._heard.values())
                self._heard.setdefault(str(properties.message_id), json.loads(body)["metadata"])
