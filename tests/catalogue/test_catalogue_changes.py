"""The changes of all requests, read on and on without missing one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import event

from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import NotAvailable
from alma_restore.request import RestoreRequest


def ask(catalogue, number=0):
    return catalogue.open_request(RestoreRequest(mous_uid=f"uid://A001/X1/X{number:x}"))


def told(changes):
    return [(change.request.id, change.state, change.stage) for change in changes]


def test_each_change_of_state_or_stage_is_told_once_in_order(catalogue):
    first, second = ask(catalogue, 1), ask(catalogue, 2)
    catalogue.start_stage(first.id, "fetch_asdm")
    catalogue.start_stage(first.id, "run_casa")
    catalogue.finish(first.id)
    catalogue.fail(second.id, NotAvailable("NGAS is away."), "fetch_asdm")
    changes = catalogue.changes(after=0)
    assert told(changes) == [
        (first.id, "accepted", ""),
        (second.id, "accepted", ""),
        (first.id, "running", "fetch_asdm"),
        (first.id, "running", "run_casa"),
        (first.id, "delivered", "run_casa"),
        (second.id, "failed", "fetch_asdm"),
    ]
    assert changes[-1].note == changes[-1].request.reason == "NGAS is away."
    assert catalogue.last_change() == changes[-1].id


def test_a_note_is_no_change(catalogue):
    request = ask(catalogue)
    catalogue.note(request.id, "A mail was sent.")
    catalogue.start_stage(request.id, "run_casa")
    catalogue.note(request.id, "Job 7 was submitted.")
    assert [change.stage for change in catalogue.changes(after=0)] == ["", "run_casa"]


def test_reading_goes_on_behind_the_last_one_read(catalogue):
    for number in range(5):
        ask(catalogue, number)
    first = catalogue.changes(after=0, limit=3)
    rest = catalogue.changes(after=first[-1].id, limit=3)
    assert len(first) == 3
    assert len(rest) == 2
    assert catalogue.changes(after=rest[-1].id) == ()


def test_a_reader_misses_nothing_though_commits_overtake_each_other(url):
    reader, slow, quick = Catalogue(url), Catalogue(url), Catalogue(url)
    writing = threading.Event()
    one, other = ask(reader, 1), ask(reader, 2)
    cursor = reader.last_change()

    def commit_slowly(_):
        writing.set()
        time.sleep(0.3)

    event.listen(slow.engine, "commit", commit_slowly)
    read = []
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(slow.start_stage, one.id, "run_casa")
        assert writing.wait(timeout=10)
        second = threads.submit(quick.start_stage, other.id, "run_casa")
        while len(read) < 2 and not (first.done() and second.done()):
            read += reader.changes(after=read[-1].id if read else cursor)
            time.sleep(0.01)
    read += reader.changes(after=read[-1].id if read else cursor)
    assert {change.request.id for change in read} == {one.id, other.id}


def test_a_request_is_found_by_the_number_that_people_quote(catalogue):
    request, other = ask(catalogue, 1), ask(catalogue, 2)
    assert 0 <= request.number < 10**9
    assert [found.id for found in catalogue.numbered(request.number)] == [request.id]
    assert request.number != other.number


def test_requests_without_a_run_wait_for_one(catalogue):
    waiting, running, ended = ask(catalogue, 1), ask(catalogue, 2), ask(catalogue, 3)
    catalogue.open_request(running.asked, "a run")
    catalogue.cancel(ended.id)
    assert [record.id for record in catalogue.waiting_for_a_run()] == [waiting.id]
