"""The broker: where it is, and the names that we use on it."""

from __future__ import annotations

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker, ProbableAccessDeniedError, ProbableAuthenticationError

from alma_restore.client.connections import Connection
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.settings import EventsSettings

log = logging.getLogger(__name__)

HEARTBEAT_S = 60
LONGEST_WAIT_S = 30.0
AMQP_PORT, AMQPS_PORT = 5672, 5671

_KEEPS_US_OUT = re.compile(r"ConnectionClosedByBroker: \((403|530)\)")
"""ACCESS_REFUSED, NOT_ALLOWED. pika takes every end of a connection before it is open for a wrong log-in, also when the
broker is going down; what it met it tells only in words."""


def parameters(connection: Connection) -> pika.ConnectionParameters:
    """How pika reaches the broker of the connection `alma_events`: `amqp://user:password@host:5672/vhost`.

    Raises:
        Misconfigured: it is of another kind.
    """
    if connection.kind not in ("amqp", "amqps", "rabbitmq"):
        raise Misconfigured(f"The connection alma_events is of kind {connection.kind!r}.", remedy="Use amqp or amqps.")
    encrypted = connection.kind == "amqps"
    tls: dict[str, Any] = {}
    if encrypted:
        tls["ssl_options"] = pika.SSLOptions(ssl.create_default_context(), connection.host)
    return pika.ConnectionParameters(
        host=connection.host or "127.0.0.1",
        port=connection.port or (AMQPS_PORT if encrypted else AMQP_PORT),
        virtual_host=connection.schema or "/",
        credentials=pika.PlainCredentials(connection.login or "guest", connection.password or "guest"),
        heartbeat=HEARTBEAT_S,
        blocked_connection_timeout=300,
        client_properties={"connection_name": "alma-restore"},
        **tls,
    )


@contextmanager
def channel(where: pika.ConnectionParameters, names: EventsSettings) -> Iterator[BlockingChannel]:
    """A channel whose messages the broker confirms; the exchange and our queues are there.

    Raises:
        NotAvailable: the broker does not answer, or went away.
        Misconfigured: it does not let us in, or has something else under one of our names.
    """
    at = f"{where.host}:{where.port}"
    try:
        with pika.BlockingConnection(where) as connection:
            opened = connection.channel()
            opened.confirm_delivery()
            _declare(opened, names)
            yield opened
    except ChannelClosedByBroker as error:
        remedy = "Mend the names in the settings [events], or what is declared on the broker."
        raise Misconfigured(f"The broker at {at} refuses: {error.reply_text}.", remedy=remedy) from error
    except (AMQPError, OSError) as error:
        guessed = isinstance(error, (ProbableAuthenticationError, ProbableAccessDeniedError))
        if guessed and _KEEPS_US_OUT.search(str(error)):
            remedy = "Mend AIRFLOW_CONN_ALMA_EVENTS."
            raise Misconfigured(f"The broker at {at} does not let our user in.", remedy=remedy) from error
        raise NotAvailable(f"The broker at {at} does not answer: {error!r}.", remedy="It is tried again.") from error


def keep_going(work: Callable[[], None], stop: threading.Event, first_wait_s: float = 1.0) -> None:
    """Do work that goes on until `stop` is set; when a peer goes away, begin again, after waits that grow.

    Raises:
        Misconfigured: what no waiting mends.
    """
    wait_s = first_wait_s
    while not stop.is_set():
        begun = time.monotonic()
        try:
            work()
        except NotAvailable as error:
            if time.monotonic() - begun > LONGEST_WAIT_S:
                wait_s = first_wait_s
            log.warning("%s Next try in %.0f s.", error, wait_s)
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def _declare(opened: BlockingChannel, names: EventsSettings) -> None:
    opened.exchange_declare(names.exchange, exchange_type="topic", durable=True)
    for queue in (names.queue, names.dead_letters):
        opened.queue_declare(queue, durable=True)
    opened.queue_bind(names.queue, names.exchange, routing_key=names.binding)
