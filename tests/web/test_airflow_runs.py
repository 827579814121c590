"""What is asked of Airflow's REST API; the live one is met in tests/browser."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from alma_restore.errors import NotAvailable
from alma_restore.web import airflow_runs
from alma_restore.web.airflow_runs import AirflowRuns

RUNS = "/api/v2/dags/restore_mous/dagRuns"


class AirflowLike:
    """Airflow's answers, and what it was asked."""

    def __init__(self):
        self.app = FastAPI()
        self.asked = []
        self.instances = {"a run": [[]]}
        self.app.post(RUNS)(self.trigger)
        self.app.patch(RUNS + "/{run_id}")(self.patch)
        self.app.get(RUNS + "/{run_id}/taskInstances")(self.task_instances)
        self.app.post("/api/v2/dags/restore_mous/clearTaskInstances")(self.clear)

    async def trigger(self, request: Request):
        body = await self.note(request)
        if body["dag_run_id"] == "known":
            return JSONResponse({"detail": "There is one."}, 409)
        if body["dag_run_id"] == "wrong":
            return JSONResponse({"detail": "Invalid input for param eb_uid."}, 400)
        return {}

    async def patch(self, run_id: str, request: Request):
        await self.note(request)
        if run_id == "gone":
            raise HTTPException(404, "No such run.")
        return {}

    async def task_instances(self, run_id: str, limit: int = 50, offset: int = 0):
        """No more than 100 at once, as Airflow."""
        if run_id not in self.instances:
            raise HTTPException(404, "No such run.")
        looks = self.instances[run_id]
        states = looks.pop(0) if len(looks) > 1 else looks[0]
        told = [{"task_id": t, "map_index": i, "state": s} for t, i, s in states]
        return {"task_instances": told[offset : offset + min(limit, 100)], "total_entries": len(told)}

    async def clear(self, request: Request):
        await self.note(request)
        return {}

    async def note(self, request):
        body = await request.json()
        self.asked.append((request.method, request.url.path.rsplit("/", 1)[1], body))
        assert request.headers["authorization"] == "Bearer x"
        return body


@pytest.fixture
def airflow(monkeypatch):
    monkeypatch.setattr(airflow_runs, "_SETTLE_LOOK_S", 0.01)
    monkeypatch.setattr(airflow_runs, "SETTLE_LIMIT_S", 0.05)
    return AirflowLike()


@pytest.fixture
def runs(airflow):
    return AirflowRuns(airflow.app, {"authorization": "Bearer x"})


def test_a_run_is_triggered_with_its_conf(airflow, runs):
    asyncio.run(runs.trigger("new", {"mous_uid": "u"}))
    ((method, path, body),) = airflow.asked
    assert (method, path, body["dag_run_id"], body["logical_date"]) == ("POST", "dagRuns", "new", None)
    assert body["conf"] == {"mous_uid": "u"}


def test_a_run_that_exists_is_left_alone(runs):
    asyncio.run(runs.trigger("known", {}))


def test_what_airflow_says_against_it_is_told(runs):
    with pytest.raises(NotAvailable, match="400: Invalid input for param eb_uid"):
        asyncio.run(runs.trigger("wrong", {}))


def test_a_run_is_cancelled_also_when_it_is_gone(airflow, runs):
    asyncio.run(runs.cancel("a run"))
    asyncio.run(runs.cancel("gone"))
    assert [body for _, _, body in airflow.asked] == 2 * [{"state": "failed"}]


def test_what_did_not_succeed_and_all_behind_it_is_cleared(airflow, runs):
    airflow.instances["a run"] = [
        [
            ("open_request", -1, "success"),
            ("fetch_asdm", 0, "success"),
            ("fetch_asdm", 1, "failed"),
            ("stage", -1, "upstream_failed"),
            ("deliver", -1, "skipped"),
            ("close_request", -1, "success"),
        ]
    ]
    asyncio.run(runs.retry("a run", {}))
    ((_, path, body),) = airflow.asked
    assert path == "clearTaskInstances"
    assert body["task_ids"] == [["fetch_asdm", 1], "stage", "deliver"]
    assert body["include_downstream"]
    assert not body["only_failed"]
    assert not body["dry_run"]


def test_what_verification_rejected_is_made_anew(airflow, runs):
    blocks = [("run_casa", index, "success") for index in range(2)]
    airflow.instances["a run"] = [[("write_ppr", -1, "success"), *blocks, ("verify", -1, "failed")]]
    asyncio.run(runs.retry("a run", {}))
    assert airflow.asked[0][2]["task_ids"] == [["run_casa", 0], ["run_casa", 1], "verify"]


def test_a_persons_run_comes_before_what_a_backfill_has_queued(airflow, runs):
    """Airflow starts queued runs in the order of this moment; of two persons the first one comes first."""
    for run_id in ("first", "second"):
        asyncio.run(runs.trigger(run_id, {}))
    first, second = (datetime.fromisoformat(body["run_after"]) for _, _, body in airflow.asked)
    assert first < second < datetime.now(timezone.utc) - timedelta(days=300)


def test_of_a_run_with_many_execution_blocks_the_one_that_failed_is_cleared(airflow, runs):
    blocks = [("run_casa", index, "failed" if index == 180 else "success") for index in range(250)]
    airflow.instances["a run"] = [[*blocks, ("deliver", -1, "upstream_failed")]]
    asyncio.run(runs.retry("a run", {}))
    assert airflow.asked[0][2]["task_ids"] == [["run_casa", 180], "deliver"]


def test_anew_a_run_begins_from_its_first_task_though_that_succeeded(airflow, runs):
    airflow.instances["a run"] = [[("open_request", -1, "success"), ("run_casa", -1, "failed")]]
    asyncio.run(runs.retry("a run", {}, anew=True))
    (_, _, body), *_ = airflow.asked
    assert (body["task_ids"], body["include_downstream"]) == (["open_request"], True)


def test_a_run_that_is_gone_is_started_anew(airflow, runs):
    asyncio.run(runs.retry("gone", {"mous_uid": "u"}))
    assert airflow.asked[0][2]["dag_run_id"] == "gone"


def test_a_run_without_anything_undone_is_not_repeated(airflow, runs):
    airflow.instances["a run"] = [[("open_request", -1, "success")]]
    with pytest.raises(NotAvailable, match="no task to run again"):
        asyncio.run(runs.retry("a run", {}))
    assert airflow.asked == []


def test_a_run_is_waited_for_until_it_has_cleaned_up(airflow, runs):
    going_on = [("run_casa", -1, "failed"), ("close_request", -1, "running")]
    airflow.instances["a run"] = [going_on, going_on, [("close_request", -1, "success")]]
    asyncio.run(runs.wait_until_settled("a run"))
    airflow.instances["a run"] = [going_on]
    with pytest.raises(NotAvailable, match="still cleaning up"):
        asyncio.run(runs.wait_until_settled("a run"))
    airflow.instances["a run"] = [[("run_casa", -1, "failed"), ("deliver", -1, None)]]
    asyncio.run(runs.wait_until_settled("a run"))
    asyncio.run(runs.wait_until_settled("gone"))
