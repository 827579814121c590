"""What is looked at while a load runs: restores, processor time, memory, health."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from load_site import LoadSite

from alma_restore.catalogue.states import ENDS
from alma_restore.errors import NotAvailable

EVERY_S = 5.0
MIB = 1024**2


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        at: seconds since the beginning.
        memory: MiB of each component's own process (`scheduler`, ...) and of all of Airflow (`all`).
        cpu_s: processor time so far, of each component itself, of what the scheduler starts (`tasks`), and of
            everything on this machine (`machine`): with the database, the archive's servers and this bench.
        unhealthy: what does not say that it is healthy.
    """

    at: float
    opened: int
    ended: int
    memory: dict[str, float]
    cpu_s: dict[str, float]
    unhealthy: tuple[str, ...]


@dataclass
class Watch:
    """Looks at a site again and again."""

    site: LoadSite
    say: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def look(self) -> Sample:
        families = {name: list(_family(pid)) for name, pid in self.site.airflow.running().items()}
        everybody = [member for family in families.values() for member in family]
        health = self.site.airflow.health()
        sample = Sample(
            at=time.monotonic() - self._began,
            opened=self.site.catalogue.find(limit=1).total,
            ended=self.site.catalogue.find(states=ENDS, limit=1).total,
            memory={name: _memory(family[:1]) for name, family in families.items()} | {"all": _memory(everybody)},
            cpu_s=processor_time(self.site.airflow.running()),
            unhealthy=tuple(name for name, word in health.items() if word != "healthy") if health else ("api-server",),
        )
        self.samples.append(sample)
        return sample

    def until(self, done: Callable[[Sample], bool], limit_s: float) -> bool:
        """Look again and again until it is done; False if that took too long."""
        told = 0.0
        while True:
            try:
                sample = self.look()
            except NotAvailable:  # the catalogue's server is down, as a soak wants it
                time.sleep(EVERY_S)
                continue
            if sample.at - told > 30:
                told = sample.at
                self.say(f"{sample.opened} opened, {sample.ended} ended {' '.join(sample.unhealthy)}")
            if done(sample):
                return True
            if sample.at > limit_s:
                return False
            time.sleep(EVERY_S)


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run something in a thread until the block ends; it is given what tells it to stop."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _family(pid: int) -> Iterator[psutil.Process]:
    try:
        head = psutil.Process(pid)
        yield head
        yield from head.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def _memory(processes: list[psutil.Process]) -> float:
    """What they hold alone, and their share of what they have in common."""
    total = 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss / MIB
        except psutil.NoSuchProcess:
            continue
    return total


def processor_time(components: Mapping[str, int]) -> dict[str, float]:
    """Processor seconds so far of Airflow's components, of what the scheduler starts (`tasks`), and of the `machine`.

    Args:
        components: their process ids.
    """
    families = {name: list(_family(pid)) for name, pid in components.items()}
    spent = {name: sum(map(_cpu_s, family)) for name, family in families.items()}
    scheduler = families.get("scheduler", [])[:1]
    alone = sum(_cpu_s(process, children=False) for process in scheduler)
    tasks = {"scheduler": alone, "tasks": spent["scheduler"] - alone} if scheduler else {}
    return spent | tasks | {"machine": machine_busy_s()}


def machine_busy_s() -> float:
    """Processor time of everything on this machine so far."""
    spent = psutil.cpu_times()
    return float(spent.user + spent.nice + spent.system + spent.irq + spent.softirq)


def _cpu_s(process: psutil.Process, *, children: bool = True) -> float:
    """With that of the children it has waited for, or without."""
    try:
        return float(sum(process.cpu_times()[: 4 if children else 2]))
    except psutil.NoSuchProcess:
        return 0.0
