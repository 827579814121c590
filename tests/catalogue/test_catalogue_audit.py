"""The audit: a catalogue that was used as it should be has no contradictions; each kind of damage is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, text

from alma_restore.catalogue.audit import Replay
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import CasaFailed
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid


def opened(catalogue: Catalogue, number: int = 1) -> RequestRecord:
    return catalogue.open_request(RestoreRequest(mous_uid=Uid(f"uid://A001/X1/X{number:x}")))


def delivered(catalogue: Catalogue, number: int = 1) -> RequestRecord:
    record = opened(catalogue, number)
    catalogue.start_stage(record.id, "deliver")
    told = {"destination": "d", "path": "p", "size_bytes": 1, "files": 1, "sha256": "0", "expires_at": None}
    catalogue.record_delivery(record.id, **told)
    return catalogue.finish(record.id)


def test_every_way_that_requests_can_go_is_no_contradiction(catalogue: Catalogue) -> None:
    opened(catalogue, 1)
    delivered(catalogue, 2)
    failed = opened(catalogue, 3)
    catalogue.start_stage(failed.id, "run_casa")
    catalogue.note(failed.id, "run_casa: out of memory. It will be tried again.")
    catalogue.fail(failed.id, CasaFailed("It crashed."), "run_casa")
    catalogue.note(failed.id, "A mail was sent.")
    catalogue.reopen(failed.id)
    catalogue.cancel(failed.id, "Enough.")
    assert catalogue.contradictions() == ()


def test_what_goes_on_while_it_looks_is_no_contradiction(catalogue: Catalogue, url: str) -> None:
    record = opened(catalogue)
    looks = []

    def move_on(*_: object) -> None:
        looks.append(record.id)
        if len(looks) == 1:  # the history has been read, the requests have not
            Catalogue(url).start_stage(record.id, "fetch_asdm")

    event.listen(catalogue.engine, "after_cursor_execute", move_on)
    assert catalogue.contradictions() == ()
    assert len(looks) > 1
    assert catalogue.get(record.id).state == "running"


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("UPDATE request SET state = 'running', ended_at = NULL", "is running; its history ends with delivered"),
        ("UPDATE request SET ended_at = NULL", "is delivered and ended at None"),
        ("DELETE FROM delivery", "is delivered; no delivery is recorded"),
        ("DELETE FROM transition WHERE state = 'accepted'", "begins as running in line 2"),
        ("DELETE FROM transition WHERE state = 'running'", "goes from accepted to delivered in line 3"),
        ("DELETE FROM transition", "its history ends with nothing"),
        ("UPDATE transition SET state = 'failed' WHERE state = 'running'", "goes from failed to delivered in line 3"),
    ],
)
def test_each_damage_is_told(damage: str, told: str, catalogue: Catalogue) -> None:
    record = delivered(catalogue)
    with catalogue.engine.begin() as connection:
        connection.execute(text(damage))
    assert f"Request {record.id}" in catalogue.contradictions()[0]
    assert told in catalogue.contradictions()[0]


def test_an_ended_request_holds_no_disk_for_long(catalogue: Catalogue, tmp_path: Path) -> None:
    record = opened(catalogue)
    catalogue.reserve(record.id, tmp_path, 10, free_bytes=lambda: 100)
    catalogue.cancel(record.id)
    assert not catalogue.is_promised(record.id), "the end itself gives it back, whatever becomes of who stored it"
    catalogue.reserve(record.id, tmp_path, 10, free_bytes=lambda: 100)  # by a stage that did not see the end
    assert catalogue.contradictions() == ()
    assert "still holds disk" in catalogue.contradictions(closing=timedelta(0))[0]
    catalogue.release(record.id)
    assert catalogue.contradictions(closing=timedelta(0)) == ()


def test_at_every_moment_the_states_add_up(catalogue: Catalogue) -> None:
    replay = Replay()
    for number, (request_id, state) in enumerate([("a", "accepted"), ("b", "accepted"), ("a", "running")]):
        replay.line(number, request_id, state)
        assert replay.counts.total() == len(replay.states)
    assert dict(replay.counts) == {"accepted": 1, "running": 1}
    assert not replay.contradictions
