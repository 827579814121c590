"""What goes wrong during a soak: one in a hundred of every outside call, and something killed every minute.

All of it happens outside the package: the stand-ins and the copy engine misbehave, connections to the catalogue,
Airflow's own database, the mail server and the SFTP site go through proxies that cut some (load_servers), and the
archive's metadata file is away now and then.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import psutil
from load_servers import RATE
from load_site import LoadSite
from servers import crash

from alma_restore.demo.small_airflow import COMPONENTS

Work = Callable[[threading.Event], None]
"""Goes on until it is told to stop."""

KILL_EVERY_S = 60.0
DOWN_S = 5.0
"""How long a service manager takes to see that a component has ended, and to start it again."""


@contextmanager
def cut_connections(site: LoadSite) -> Iterator[None]:
    """Until the block ends, the proxies cut one connection in a hundred."""
    for proxy in site.proxies.values():
        proxy.rate = RATE
    try:
        yield
    finally:
        for proxy in site.proxies.values():
            proxy.rate = 0.0


def hide_metadata(archive: Path) -> Work:
    """The archive's metadata database is away for one moment in a hundred."""

    def work(stop: threading.Event) -> None:
        database, away = archive / "metadata.sqlite", archive / "metadata.away"
        while not stop.wait(random.expovariate(1 / 10)):
            database.rename(away)
            stop.wait(10 * RATE)
            away.rename(database)

    return work


def kill_components(site: LoadSite, killed: Counter[str], say: Callable[[str], None]) -> Work:
    """Every minute one component, the process of one task, or the database server is killed."""
    servers = ["PostgreSQL"] if site.server else []

    def work(stop: threading.Event) -> None:
        for victim in cycle([*COMPONENTS, "task", *servers]):
            if stop.wait(KILL_EVERY_S):
                return
            if victim == "task":
                _kill_a_task(site)
            elif victim == "PostgreSQL":
                crash(site.server, DOWN_S)
            else:
                site.airflow.kill_component(victim)
            killed[victim] += 1
            say(f"killed: {victim}")

    return work


def restart_components(site: LoadSite, started: Counter[str]) -> Work:
    """What a service manager does: a component that was killed, or has ended by itself, is started again."""

    def work(stop: threading.Event) -> None:
        while not stop.wait(DOWN_S):
            for component in set(COMPONENTS) - site.airflow.running().keys():
                site.airflow.start_component(component)
                started[component] += 1

    return work


def _kill_a_task(site: LoadSite) -> None:
    """The process that does a task's work: a child of a child of the scheduler."""
    with suppress(psutil.NoSuchProcess, KeyError):
        workers = psutil.Process(site.airflow.running()["scheduler"]).children()
        tasks = [task for worker in workers for task in worker.children()]
        if tasks:
            random.choice(tasks).kill()
