"""How long a page takes with a whole observatory's archive, and with a silent one: `./run bench page`.

Each search is measured as its first visitor meets it, with nothing remembered. Times are those of the clock, which on a
busy machine are mostly waiting; `cpu_ms` is the most processor time that one of the pages took.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import detect
from fastapi.testclient import TestClient

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.source import Archive
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo.many_mous import many_mous
from alma_restore.request import RestoreRequest
from alma_restore.restore.house import House
from alma_restore.settings import Settings
from alma_restore.web import access
from alma_restore.web import house as houses
from alma_restore.web.access import Visitor
from alma_restore.web.answers import Answers
from alma_restore.web.app import create_app

SIZES = (1_000, 100_000)
REQUESTS = 2_000
TIMES = 40

SEARCHES = {
    "latest calibrations": "",
    "an older day": "?until=2024-06-01",
    "one MOUS": "?uid=uid://A001/X1000/X123",
    "one execution block": "?uid=uid://A002/X1000/X123",
    "one project": "?project=2017.1.00042.S",
    "all projects of a cycle": "?project=2017",
    "a source": "?source=Source+12",
    "a SchedBlock": "?sched_block=sb",
    "what cannot be restored": "?state=not_restorable",
    "what was restored": "?state=delivered",
    "what is nowhere": "?project=2017.1.00042.S&source=M31",
    "a rare thing among many": "?state=not_restorable&source=Source+1&project=2017.1",
}


def run(home: Path) -> list[dict[str, Any]]:
    """Measure every search, and the pages that need no archive while it is silent."""
    archives = home.parent / "detect"  # the same ones as that benchmark's
    archives.mkdir(exist_ok=True)
    rows = []
    for size in SIZES:
        archive = detect.made(archives, size)
        with _client(home, archive) as client:
            for what, query in SEARCHES.items():
                rows.append({"what": what, "mous_in_archive": size, **_measured(client, f"/{query}")})
    with _client(home, archive, silent=True) as client, _visitors(client, 20):
        rows.append({"what": "requests, archive silent", "mous_in_archive": size, **_measured(client, "/requests")})
    return rows


def _measured(client: TestClient, path: str) -> dict[str, Any]:
    taken, worked = [], []
    for _ in range(TIMES):
        started, at_work = time.perf_counter(), time.process_time()
        answer = client.get(path)
        worked.append(time.process_time() - at_work)
        taken.append(time.perf_counter() - started)
        assert answer.status_code == 200
        assert "archive is slow" not in answer.text
    taken.sort()
    figures = {"p50": taken[TIMES // 2], "p95": taken[TIMES * 95 // 100], "max": taken[-1], "cpu": max(worked)}
    return {f"{name}_ms": round(1000 * seconds) for name, seconds in figures.items()}


@contextmanager
def _client(home: Path, archive: Path, silent: bool = False) -> Iterator[TestClient]:
    never = threading.Event()

    def connect() -> Any:
        if silent:
            never.wait(60)
        return closing(embedded.connect(archive))

    settings = Settings(home=home)
    house = House(settings, _catalogue(home, settings), Archive(Metadata(connect), None, None), print, print)
    answers = Answers(keep_s=0)
    app = create_app()
    app.dependency_overrides |= {
        access.visitor: lambda: Visitor("1", "bench", True),
        houses.opened_house: lambda: house,
        houses.archive_answers: lambda: answers,
    }
    with TestClient(app, headers={"Accept": "text/html"}) as client:
        client.get("/requests")
        yield client
    never.set()


@contextmanager
def _visitors(client: TestClient, number: int) -> Iterator[None]:
    """Visitors who wait for the silent archive, over and over."""
    gone = threading.Event()

    def visit(day: int) -> None:
        while not gone.is_set():
            client.get(f"/?until=2020-01-{day + 1:02d}")

    threads = [threading.Thread(target=visit, args=(day,)) for day in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        gone.set()
        for thread in threads:
            thread.join()


def _catalogue(home: Path, settings: Settings) -> Catalogue:
    """A catalogue of requests that were carried out, made once."""
    template = home / f"catalogue-{REQUESTS}.db"
    if not template.exists():
        part = template.with_suffix(".part")
        part.unlink(missing_ok=True)
        catalogue = Catalogue.opened(f"sqlite:///{part}")
        for record in many_mous(REQUESTS):
            opened = catalogue.open_request(RestoreRequest(mous_uid=record.uid, correlation_id=record.uid.sanitised))
            catalogue.start_stage(opened.id, "run_casa")
            catalogue.finish(opened.id)
        catalogue.engine.dispose()
        part.rename(template)
    shutil.copyfile(template, home / "catalogue.db")
    return Catalogue(settings.catalogue)
