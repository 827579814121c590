"""MOUSs that arrive at once by backfill, through the whole system but CASA; --soak: with faults and kills.

Everything is real but the archive's servers and CASA, for which an engine steps in that only copies (docs/casa.md).
"""

from __future__ import annotations

import argparse
import signal
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import load_faults as faults
from load_checks import broken_promises
from load_site import LoadSite, load_site
from load_watch import Sample, Watch, beside

_BEGAN = time.monotonic()


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mous", type=int, default=100, help="how many (100)")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--soak", action="store_true", help="1 %% faults, and a component killed every minute")
    parser.add_argument("--limit", type=float, default=3600, help="seconds until it is given up (3600)")


def run(home: Path, wanted: argparse.Namespace) -> list[dict[str, Any]]:
    """Carry the load and look at what came of it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops it, nothing is left running
    killed: Counter[str] = Counter()
    started: Counter[str] = Counter()
    with ExitStack() as stack:
        site = stack.enter_context(load_site(home, wanted.mous, wanted.database, soak=wanted.soak))
        say(f"Airflow is up at port {site.airflow.port}")
        watch = Watch(site, say)
        watch.look()
        if wanted.soak:
            site.ask_over_sftp(wanted.mous)
        site.backfill()
        with ExitStack() as trouble:
            if wanted.soak:
                stack.enter_context(beside(faults.restart_components(site, started)))
                trouble.enter_context(faults.cut_connections(site))
                trouble.enter_context(beside(faults.hide_metadata(site.archive.folder)))
                trouble.enter_context(beside(faults.kill_components(site, killed, say)))
            watch.until(lambda sample: sample.ended >= wanted.mous, wanted.limit)
        watch.until(lambda sample: not sample.unhealthy, limit_s=watch.samples[-1].at + 180)
        watch.until(lambda _: _runs_ended(site), limit_s=watch.samples[-1].at + 600)
        broken = broken_promises(site, wanted.mous, faults=wanted.soak)
        states = Counter(record.state for record in site.catalogue.find(limit=wanted.mous * 2).requests)
        tasks = _tasks(site)
    for sentence in broken:
        say(f"BROKEN: {sentence}")
    return _rows(watch.samples, states, tasks, killed, len(broken)) + _soak_rows(site, killed, started)


def say(text: str) -> None:
    print(f"{time.monotonic() - _BEGAN:6.1f} s  {text}", flush=True)


def _runs_ended(site: LoadSite) -> bool:
    active = site.airflow.api("GET", "dags/~/dagRuns", params={"state": ["queued", "running"], "limit": 1})
    return active.is_success and not active.json()["total_entries"]


def _tasks(site: LoadSite) -> int:
    """That ended well."""
    found = site.airflow.api("GET", "dags/~/dagRuns/~/taskInstances", params={"state": "success", "limit": 1}).json()
    return int(found["total_entries"])


def _rows(
    samples: list[Sample],
    states: Counter[str],
    tasks: int,
    killed: Counter[str],
    broken: int,
) -> list[dict[str, Any]]:
    first, last = samples[0], samples[-1]
    loaded = next(sample for sample in samples if sample.ended == last.ended)
    cpu_s = {name: last.cpu_s.get(name, 0.0) - began for name, began in first.cpu_s.items()}
    whole = cpu_s.pop("machine")
    by_component = ", ".join(f"{name} {seconds / loaded.ended:.2f}" for name, seconds in cpu_s.items() if loaded.ended)
    middle = [sample for sample in samples if 0.2 * loaded.ended <= sample.ended <= 0.8 * loaded.ended]
    rate = (middle[-1].ended - middle[0].ended) / (middle[-1].at - middle[0].at) if len(middle) > 1 else 0.0
    rows = [
        _row("restores that ended", loaded.ended, ", ".join(f"{number} {state}" for state, number in states.items())),
        _row("seconds from the backfill to the last one's end", round(loaded.at - first.at)),
        _row("restores a second, in the middle of the load", round(rate, 3)),
        _row("tasks", tasks),
        _row("times somebody was not healthy", sum(bool(sample.unhealthy) for sample in samples)),
        _row("promises broken", broken),
    ]
    if not killed:  # what was killed took its figures with it
        rows.append(
            _row("processor seconds a restore", round(sum(cpu_s.values()) / max(last.ended, 1), 2), by_component)
        )
        rows.append(_row("processor seconds of the whole machine a restore", round(whole / max(last.ended, 1), 2)))
        rows.append(_row("processor seconds a task", round(sum(cpu_s.values()) / max(tasks, 1), 3)))
    for name in first.memory:
        told = [sample.memory.get(name, 0.0) for sample in samples]
        note = f"after a quarter {told[len(told) // 4]:.0f}, at the end {told[-1]:.0f}"
        rows.append(_row(f"memory of {name}, MiB", round(max(told)), note))
    return rows


def _soak_rows(site: LoadSite, killed: Counter[str], started: Counter[str]) -> list[dict[str, Any]]:
    """What went wrong because the soak wanted it to; none where it wanted nothing."""
    if not site.proxies:
        return []
    cut = {name: (proxy.cut, proxy.passed) for name, proxy in site.proxies.items()}
    spared = [name for name, (times, _) in cut.items() if not times]
    ended = started - killed
    return [
        _row("killed", killed.total(), _counts(killed)),
        _row("ended by themselves and started again", ended.total(), _counts(ended)),
        _row(
            "connections cut",
            sum(times for times, _ in cut.values()),
            ", ".join(f"{name} {times} of {passed}" for name, (times, passed) in cut.items()),
        ),
        _row("peers that were never cut, of which this soak shows nothing", len(spared), ", ".join(spared)),
    ]


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counter.items())


def _row(what: str, value: float, note: str = "") -> dict[str, Any]:
    return {"what": what, "value": value, "note": note}
