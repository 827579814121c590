"""Health checks that read what a service says, not only that it listens: `healthy.py PEER [NAME]`."""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path


def airflow(component: str) -> bool:
    """What the api-server says of a component; its status code says nothing."""
    address = os.environ.get("API_ADDRESS", "api-server:8080")
    with urllib.request.urlopen(f"http://{address}/api/v2/monitor/health", timeout=10) as answer:
        health = json.load(answer)
    return (health.get(component) or {}).get("status") == "healthy"


def worker(_: str) -> bool:
    """Whether this container's Celery worker answers a ping over the broker."""
    from celery import Celery

    password = Path("/run/secrets/redis_password").read_text().strip()
    celery = Celery(broker=f"redis://:{password}@{os.environ.get('REDIS_ADDRESS', 'redis:6379')}/0")
    name = f"celery@{socket.gethostname()}"
    return (celery.control.inspect([name], timeout=10).ping() or {}).get(name) == {"ok": "pong"}


def ngas(address: str) -> bool:
    """Whether a stand-in NGAS node tells its status: which file is of no interest, and it answers so."""
    try:
        with urllib.request.urlopen(f"http://{address}/STATUS", timeout=5) as answer:
            return b"NgamsStatus" in answer.read()
    except urllib.error.HTTPError as error:
        return b"NgamsStatus" in error.read()


def banner(address: str) -> bool:
    """Whether a mail or SSH server greets: `port:beginning of its greeting`."""
    port, _, greeting = address.partition(":")
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5) as connection:
        return connection.recv(200).startswith(greeting.encode())


def consumer(_: str) -> bool:
    """Whether somebody listens to our queue, as the broker says."""
    import pika

    from alma_restore.client import connections
    from alma_restore.events.broker import parameters
    from alma_restore.settings import settings

    with pika.BlockingConnection(parameters(connections.needed(connections.EVENTS))) as connection:
        queue = connection.channel().queue_declare(settings().events.queue, passive=True)
    return bool(queue.method.consumer_count)


def publisher(_: str) -> bool:
    """Whether every change is told at the broker within five minutes."""
    from alma_restore.catalogue.store import Catalogue
    from alma_restore.events.publishing import CURSOR
    from alma_restore.settings import settings

    catalogue = Catalogue(settings().catalogue)
    untold = catalogue.changes(after=int(catalogue.cursor(CURSOR) or 0), limit=1)
    return not untold or datetime.now(timezone.utc) - untold[0].at < timedelta(minutes=5)


CHECKS = {
    "airflow": airflow,
    "worker": worker,
    "ngas": ngas,
    "banner": banner,
    "consumer": consumer,
    "publisher": publisher,
}

if __name__ == "__main__":
    try:
        good = CHECKS[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
    except OSError as error:
        sys.exit(str(error))
    sys.exit(not good)
