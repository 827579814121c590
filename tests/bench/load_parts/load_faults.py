"""What goes wrong during a soak: one in a hundred of every outside call, and a component killed every minute.

All of it happens outside the package: the stand-ins and the copy engine misbehave, connections to the catalogue and the
mail server go through a proxy that cuts some (load_servers), and the archive's metadata file is away now and then.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import psutil
from load_servers import RATE
from load_site import LoadSite

from alma_restore.demo.small_airflow import COMPONENTS

Work = Callable[[threading.Event], None]
"""Goes on until it is told to stop."""

KILL_EVERY_S = 60.0
DOWN_S = 5.0
"""How long a service manager takes to start a component again."""


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
    """Every minute one component, or the process of one task, is killed; a component is started again."""

    def work(stop: threading.Event) -> None:
        for victim in cycle([*COMPONENTS, "task"]):
            if stop.wait(KILL_EVERY_S):
                return
            if victim == "task":
                _kill_a_task(site)
            else:
                site.airflow.kill_component(victim)
                stop.wait(DOWN_S)
                site.airflow.start_component(victim)
            killed[victim] += 1
            say(f"killed: {victim}")

    return work


def _kill_a_task(site: LoadSite) -> None:
    """The process that does a task's work: a child of a child of the scheduler."""
    with suppress(psutil.NoSuchProcess, KeyError):
        workers = psutil.Process(site.airflow.running()["scheduler"]).children()
        tasks = [task for worker in workers for task in worker.children()]
        if tasks:
            random.choice(tasks).kill()
