"""What surrounds each stage: which attempt at a request it belongs to, the disk promised to it, how its task ended."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import CasaFailed, Corrupt, NotAvailable
from alma_restore.orchestration import restore_tasks, stages, task_ends
from alma_restore.orchestration.open_house import open_house
from alma_restore.request import RestoreRequest
from alma_restore.restore import closing, opening
from alma_restore.restore.house import House
from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X1284/X266")
RUN = "a_run"


@pytest.fixture
def house(home: Path, catalogue: Catalogue) -> House:
    return open_house()


@pytest.fixture
def task_begins(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A task of the run begins, its tasks having been cleared so many times."""

    def begin(cleared: int = 0, retries: int = 0) -> None:
        instance = SimpleNamespace(
            try_number=1, max_tries=retries, map_index=-1, task=SimpleNamespace(on_kill=lambda: None), run_id=RUN
        )
        context: dict[str, Any] = {"dag_run": SimpleNamespace(run_id=RUN, clear_number=cleared), "ti": instance}
        for module in (stages, task_ends):
            monkeypatch.setattr(module, "get_current_context", lambda: context)

    return begin


@pytest.fixture
def request_id(house: House) -> str:
    record = house.catalogue.open_request(RestoreRequest(mous_uid=MOUS), RUN)
    opening.admit(house, record.id)
    opening.prepare(house, record.id)
    return record.id


def test_a_request_keeps_its_workspace_though_another_execution_block_is_the_first_by_now(
    house: House, request_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody would know of the first one, and it would lie in the spool for ever."""
    before = house.catalogue.get(request_id).workspace
    monkeypatch.setattr(opening, "folder_name", lambda *_: "of_another_execution_block")
    opening.prepare(house, request_id)
    assert house.catalogue.get(request_id).workspace == before
    closing.remove_workspace(house, house.catalogue.get(request_id))
    opening.prepare(house, request_id)
    assert Path(house.catalogue.get(request_id).workspace).name == "of_another_execution_block"


def fail(house: House, stage: str, error: Exception) -> None:
    with pytest.raises(AirflowFailException), stages.stage(stage, house):
        raise error


def test_the_reason_stands_after_a_task_of_a_running_restore_was_cleared(
    house: House, request_id: str, task_begins: Callable[..., None]
) -> None:
    task_begins(cleared=1)
    fail(house, "fetch_asdm", Corrupt("The first block is damaged on tape."))
    with pytest.raises(AirflowFailException, match="has ended already"), stages.stage("fetch_asdm", house):
        pass
    record = house.catalogue.get(request_id)
    assert (record.state, record.reason) == ("failed", "The first block is damaged on tape.")


def test_a_task_that_begins_as_its_restore_is_cancelled_is_not_tried_again(
    house: House, request_id: str, task_begins: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    just_before = house.catalogue.by_run_id(RUN)
    house.catalogue.cancel(request_id)
    monkeypatch.setattr(Catalogue, "by_run_id", lambda *_: just_before)
    task_begins()
    with pytest.raises(AirflowFailException, match="is cancelled"), stages.stage("fetch_asdm", house):
        pass


def test_a_restore_that_is_run_again_is_promised_its_disk_again(
    house: House, request_id: str, task_begins: Callable[..., None]
) -> None:
    spool = house.settings.spool_root
    promised = house.catalogue.reserved_bytes(spool)
    task_begins()
    fail(house, "run_casa", CasaFailed("It crashed."))
    house.catalogue.release(request_id)

    (house.workspace(request_id).rawdata / "raw").write_bytes(bytes(1000))
    task_begins(cleared=1)
    with stages.stage("run_casa", house):
        assert promised - 100_000 < house.catalogue.reserved_bytes(spool) <= promised - 1000
    assert house.catalogue.get(request_id).state == "running"


def ends_well() -> None:
    """Nothing goes wrong."""


def is_to_be_tried_again() -> None:
    raise NotAvailable("The archive does not answer.")


def defers() -> None:
    raise TaskDeferred(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="finish")


def is_killed() -> None:
    os._exit(9)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (ends_well, "All went well as far as fetch_asdm; Airflow could not store that"),
        (is_to_be_tried_again, "The stage fetch_asdm failed and was to be tried again; no later try could store"),
        (defers, "The stage fetch_asdm was waiting for its job"),
        (is_killed, "The task of the stage fetch_asdm was killed"),
    ],
)
def test_a_run_that_ends_without_an_end_of_its_request_says_what_befell_it(
    house: House,
    request_id: str,
    task_begins: Callable[..., None],
    task: Callable[[], None],
    reason: str,
) -> None:
    task_begins(retries=1)
    with stages.stage("fetch_products", house):
        pass
    if not (pid := os.fork()):
        with suppress(BaseException), stages.stage("fetch_asdm", open_house()):
            task()
        os._exit(0)
    os.waitpid(pid, 0)
    assert reason in closing.close(house, request_id).reason


@pytest.mark.parametrize("with_workspace", [False, True])
def test_a_run_none_of_whose_tasks_left_word_says_no_more_than_that(
    house: House, request_id: str, with_workspace: bool
) -> None:
    if not with_workspace:
        request_id = house.catalogue.open_request(RestoreRequest(mous_uid=MOUS), "another_run").id
    assert "of the stage open_request ended without saying why" in closing.close(house, request_id).reason


@pytest.mark.parametrize(
    ("states", "state"),
    [({"deliver": "skipped"}, "cancelled"), ({"open_request": "failed", "deliver": "upstream_failed"}, None)],
)
def test_a_run_marked_failed_before_it_began_is_stored_as_cancelled(
    house: House, monkeypatch: pytest.MonkeyPatch, states: dict[str, str], state: str | None
) -> None:
    run = SimpleNamespace(run_id=RUN, dag_id="restore_mous", state="running", clear_number=0, conf={"mous_uid": MOUS})
    instance = SimpleNamespace(get_task_states=lambda **_: {RUN: states})
    monkeypatch.setattr(restore_tasks, "get_current_context", lambda: {"dag_run": run, "ti": instance})
    restore_tasks.close_request.function()
    record = house.catalogue.by_run_id(RUN)
    assert (record and record.state) == state
