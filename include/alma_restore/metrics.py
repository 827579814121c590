"""What Prometheus is told: the catalogue's figures, the disks, Airflow's queues, and which of its parts are alive.

Nothing is counted in a process: tasks live for seconds, and the catalogue knows everything that happened.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from alma_restore import __version__
from alma_restore.catalogue.figures import Figures
from alma_restore.catalogue.states import FOLLOWERS
from alma_restore.catalogue.store import Catalogue
from alma_restore.settings import Settings

PREFIX = "alma_restore_"
LAST_DAY = timedelta(days=1)
_QUANTILES = {"0.5": 0.5, "0.9": 0.9, "1": 1.0}

Sample = tuple[Sequence[str], float]


@dataclass(frozen=True)
class TaskQueue:
    """One of Airflow's queues.

    Attributes:
        running: how many of its tasks workers have at hand.
        waiting_since: when Airflow queued the oldest of those that wait for a worker; None: none waits.
    """

    running: int = 0
    waiting_since: datetime | None = None


def exposition(
    catalogue: Catalogue, settings: Settings, airflow: Mapping[str, bool], queues: Mapping[str, TaskQueue]
) -> bytes:
    """The metrics as text, as Prometheus reads it.

    Args:
        airflow: which parts of Airflow are alive.
        queues: Airflow's queues, by name.

    Raises:
        NotAvailable: the catalogue does not answer.
    """
    now = datetime.now(timezone.utc)
    figures = catalogue.figures(now - LAST_DAY)
    roots = {str(settings.spool_root), str(settings.delivery_root)}
    registry = CollectorRegistry(auto_describe=False)
    of_catalogue = (*_of_requests(figures), *_of_time(figures, now), *_of_bytes(figures, roots))
    registry.register(_Told([*of_catalogue, *_of_queues(queues, now), *_of_parts(airflow)]))
    return generate_latest(registry)


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _of_requests(figures: Figures) -> Iterator[Metric]:
    none = {(state, ""): 0 for state in FOLLOWERS}  # a state that nothing is in counts zero, so that alerts can tell
    reason = ("state", "reason")
    yield _gauge("requests", "Requests, by state and reason.", reason, (none | figures.requests).items())
    ended = (none | figures.ended).items()
    yield _gauge("ended_last_day", "Requests that ended in the last 24 hours, by state and reason.", reason, ended)
    running = [((at.state, at.stage), at.requests) for at in figures.active]
    yield _gauge("active", "Requests that have not ended, by state and stage.", ("state", "stage"), running)
    text = "Calibrations found that are to be restored, and have no request yet."
    yield _gauge("calibrations_pending", text, (), [((), figures.pending)])
    retries = [((stage,), number) for stage, number in figures.retries.items()]
    yield _gauge("retries_last_day", "Stages repeated by themselves in the last 24 hours.", ("stage",), retries)


def _of_time(figures: Figures, now: datetime) -> Iterator[Metric]:
    quiet = [((at.state, at.stage), (now - at.unchanged_since).total_seconds()) for at in figures.active]
    yield _gauge("quiet_seconds", "Since the stillest request of a stage changed.", ("state", "stage"), quiet)
    waiting = [seconds for (state, _), seconds in quiet if state == "accepted"]
    if figures.pending_since:
        waiting.append((now - figures.pending_since).total_seconds())
    text = "How long the oldest request, or calibration found and not requested yet, waits to begin."
    yield _gauge("queue_age_seconds", text, (), [((), max(waiting, default=0))])
    stages = figures.stage_seconds.items()
    yield _gauge(
        "stage_seconds",
        "How long a stage took, of those that ended in the last 24 hours.",
        ("stage", "quantile"),
        [((stage, quantile), value) for stage, taken in stages for quantile, value in _quantiles(taken)],
    )
    ended = [((stage,), len(taken)) for stage, taken in stages]
    yield _gauge("stages_last_day", "Stages that ended in the last 24 hours.", ("stage",), ended)
    for name, text, moment in (
        ("last_detection_timestamp_seconds", "When the archive was last looked through.", figures.detected_at),
        ("newest_calibration_timestamp_seconds", "When a new calibration was last found.", figures.calibration_at),
    ):
        yield _gauge(name, text, (), [((), moment.timestamp())] if moment else [])


def _of_bytes(figures: Figures, roots: set[str]) -> Iterator[Metric]:
    yield _gauge("delivered_bytes_last_day", "Delivered in the last 24 hours.", (), [((), figures.delivered_bytes)])
    yield _gauge("deliveries", "Deliveries that are kept now.", (), [((), figures.standing_deliveries)])
    yield _gauge("delivery_bytes", "What they hold.", (), [((), figures.standing_bytes)])
    reserved = {root: figures.reserved_bytes.get(root, 0) for root in roots | set(figures.reserved_bytes)}
    disks = {root: shutil.disk_usage(root) for root in roots if Path(root).is_dir()}
    for name, text, sizes in (
        ("disk_reserved_bytes", "Promised to restores and not yet written.", reserved),
        ("disk_free_bytes", "Free.", {root: disk.free for root, disk in disks.items()}),
        ("disk_size_bytes", "In all.", {root: disk.total for root, disk in disks.items()}),
    ):
        yield _gauge(name, text, ("root",), [((root,), size) for root, size in sorted(sizes.items())])
    peaks = [((quantile,), value) for quantile, value in _quantiles(figures.casa_peak_bytes)]
    text = "The most memory of a CASA run, of requests that ended in the last 24 hours."
    yield _gauge("casa_peak_memory_bytes", text, ("quantile",), peaks)


def _of_queues(queues: Mapping[str, TaskQueue], now: datetime) -> Iterator[Metric]:
    ages = [
        ((name,), max((now - queue.waiting_since).total_seconds(), 0) if queue.waiting_since else 0)
        for name, queue in queues.items()
    ]
    yield _gauge("task_queue_age_seconds", "How long the oldest task of a queue waits for a worker.", ("queue",), ages)
    running = [((name,), queue.running) for name, queue in queues.items()]
    yield _gauge("tasks_running", "Tasks that workers have at hand, by queue.", ("queue",), running)


def _of_parts(airflow: Mapping[str, bool]) -> Iterator[Metric]:
    alive = [((part,), float(healthy)) for part, healthy in airflow.items()]
    yield _gauge("airflow_healthy", "1: this part of Airflow is alive; 0: it is not.", ("part",), alive)
    yield _gauge("info", "The version that runs.", ("version",), [((__version__,), 1)])


def _gauge(name: str, text: str, labels: Sequence[str], samples: Iterable[Sample]) -> Metric:
    gauge = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in samples:
        gauge.add_metric(values, number)
    return gauge


def _quantiles(numbers: Sequence[float]) -> Iterator[tuple[str, float]]:
    """The number below which, or at which, that part of them lies."""
    ordered = sorted(numbers)
    if ordered:
        for name, part in _QUANTILES.items():
            yield name, ordered[math.ceil(part * len(ordered)) - 1]
