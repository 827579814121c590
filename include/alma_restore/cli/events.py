"""`alma-restore events consume` and `publish`: the long-running programs at RabbitMQ."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from alma_restore import log_fields
from alma_restore.cli.exits import Commands
from alma_restore.settings import settings

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Requests from RabbitMQ, and what happens to them.")


@app.command()
def consume() -> None:
    """Take StartWorkflow events from the exchange, store them as requests, and start their runs. Runs until stopped.

    The broker is the connection alma_events: AIRFLOW_CONN_ALMA_EVENTS=amqp://user:password@host:5672/vhost

    Examples:

        alma-restore events consume
    """
    from alma_restore.catalogue.store import Catalogue
    from alma_restore.client import connections
    from alma_restore.client.rest import AirflowRest, Credentials
    from alma_restore.events.broker import parameters
    from alma_restore.events.consuming import Consumer

    here = settings()
    airflow = AirflowRest(here.airflow_url, Credentials.from_environment())
    where = parameters(connections.needed(connections.EVENTS))
    consumer = Consumer(
        where,
        here.events,
        Catalogue.opened(here.catalogue),
        lambda asked: airflow.trigger(asked.run_id, asked.as_conf()),
    )
    with _until_stopped() as stop:
        consumer.run(stop)


@app.command()
def publish(
    from_now: Annotated[bool, typer.Option("--from-now", help="At the very first start: leave out the past.")] = False,
) -> None:
    """Tell on the exchange what happens to each request, under its correlation id. Runs until stopped.

    How far it came is kept in the catalogue: a restart goes on there.

    Examples:

        alma-restore events publish

        alma-restore events publish --from-now
    """
    from alma_restore.catalogue.store import Catalogue
    from alma_restore.client import connections
    from alma_restore.events.broker import parameters
    from alma_restore.events.publishing import Publisher, only_publisher

    here = settings()
    where = parameters(connections.needed(connections.EVENTS))
    publisher = Publisher(where, here.events, Catalogue.opened(here.catalogue))
    with only_publisher(here.home), _until_stopped() as stop:
        if from_now:
            publisher.skip_the_past()
        publisher.run(stop)


@contextmanager
def _until_stopped() -> Iterator[threading.Event]:
    """Log to standard error; SIGTERM and Ctrl-C end the work in order."""
    log_fields.to_standard_error(settings().json_logs)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # what goes wrong is told by us, in one line
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
