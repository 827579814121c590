"""The pages of requests: what they show while a restore goes on, how it is cancelled and tried again."""

from __future__ import annotations

import dataclasses
import math
import os
from datetime import datetime, timedelta, timezone

import pytest
from page_tools import OPERATOR, OTHER, VIEWER, ask, request_of

from alma_restore.casa import attempts
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.launchers.base import Handle
from alma_restore.catalogue.records import StageTiming
from alma_restore.errors import CasaFailed, NotAvailable
from alma_restore.restore import closing
from alma_restore.uid import Uid
from alma_restore.web import access, progress
from alma_restore.web.progress import Step
from alma_restore.web.rendering import size
from alma_restore.workspace import Workspace

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def request_id(client, restorable):
    return request_of(ask(client, restorable, email="ada@example.org"))


@pytest.fixture
def workspace(house, request_id, tmp_path):
    workspace = Workspace(tmp_path / "spool" / "a restore")
    workspace.create({"fileSetIds": ["uid://A002/X1/X1", "uid://A002/X1/X2"]})
    house.catalogue.set_workspace(request_id, str(workspace.root))
    return workspace


def live(client, request_id):
    return client.get(f"/api/requests/{request_id}").json()


def test_what_is_fetched_and_calibrated_is_counted(client, house, request_id, workspace):
    assert live(client, request_id)["texts"]["ebs"] == "0 of 2 fetched"
    raw = workspace.rawdata / "uid___A002_X1_X1"
    raw.mkdir()
    (raw / "ASDM.xml").write_bytes(b"x" * 1500)
    (workspace.products / "a.tgz").write_bytes(b"x" * 500)
    told = live(client, request_id)["texts"]
    assert told["ebs"] == "1 of 2 fetched"
    assert told["fetched"] == "2 kB"
    (workspace.working / "uid___A002_X1_X1.ms").mkdir()
    assert live(client, request_id)["texts"]["ebs"] == "1 of 2 in CASA"


def test_what_is_fetched_is_not_looked_through_anew_for_every_visitor(client, request_id, workspace, monkeypatch):
    monkeypatch.setattr(progress, "SIZE_KEPT_S", math.inf)
    (workspace.products / "a.tgz").write_bytes(b"x" * 500)
    walked, walk = [], os.walk
    monkeypatch.setattr(os, "walk", lambda folder: walked.append(folder) or walk(folder))
    assert {live(client, request_id)["texts"]["fetched"] for _ in range(3)} == {"500 B"}
    assert walked == [workspace.rawdata, workspace.products]


def test_the_expected_size_is_told_where_the_archive_knows_it(client, house, restorable, tmp_path):
    for block in house.archive.metadata.calibration(restorable).passed:
        folder = tmp_path / "asdm" / block.uid.sanitised
        folder.mkdir(parents=True)
        (folder / "ASDM.xml").write_bytes(b"x" * 1000)
    request_id = request_of(ask(client, restorable))
    workspace = Workspace(tmp_path / "spool" / "a restore")
    house.catalogue.set_workspace(request_id, str(workspace.create({}).root))
    (workspace.products / "a.tgz").write_bytes(b"x" * 500)
    calibration = house.archive.metadata.calibration(restorable)
    expected = 1000 * len(calibration.passed)
    expected += sum(f.size_bytes for f in calibration.files if f.file_class in ("calibration", "script"))
    assert live(client, request_id)["texts"]["fetched"] == f"{size(500)} of {size(expected)}"
    with (workspace.products / "a.tgz").open("wb") as whole:
        whole.truncate(expected + 1)
    assert live(client, request_id)["texts"]["fetched"] == f"{size(expected)}, all of it"


def test_the_end_of_casas_log_is_shown_escaped(client, house, request_id, workspace):
    folder = attempts.folder(workspace, 1)
    folder.mkdir()
    attempts.note(workspace, Attempt(1, "key", Handle("local", "1", str(folder))))
    lines = [f"line {number}" for number in range(9000)] + ["<script>alert(1)</script>"]
    (folder / "log").write_bytes("\n".join(lines).encode() + b"\xff")
    shown = live(client, request_id)["log"].splitlines()
    assert len(shown) == progress.LOG_LINES
    assert shown[-1].startswith("<script>")
    assert shown[0] == f"line {9001 - progress.LOG_LINES}"
    page = client.get(f"/requests/{request_id}").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_a_page_shows_the_reason_and_the_remedy_of_a_failure(client, house, request_id):
    house.catalogue.start_stage(request_id, "run_casa")
    error = CasaFailed("CASA found no flag version in X1.", remedy="Ask for a re-ingest.", log_tail="the <last> line")
    house.catalogue.fail(request_id, error, "run_casa")
    page = client.get(f"/requests/{request_id}").text
    for text in ("CASA found no flag version in X1.", "Ask for a re-ingest.", "the &lt;last&gt; line", "Try again"):
        assert text in page
    assert live(client, request_id)["steps"][3]["state"] == "stopped"


def test_the_list_shows_every_request_and_pages(client, house, restorable, monkeypatch):
    monkeypatch.setattr("alma_restore.web.request_pages.PAGE_SIZE", 2)
    ids = []
    for _ in range(5):
        ids.append(request_of(ask(client, restorable)))
        house.catalogue.cancel(ids[-1])
    seen = [[one for one in ids if one in client.get(f"/requests?offset={offset}").text] for offset in (0, 2, 4)]
    assert [sorted(page) for page in seen] == [sorted(ids[3:]), sorted(ids[1:3]), ids[:1]]
    assert client.get("/requests?offset=-1").status_code == 422


def test_an_unknown_request_is_not_found(client):
    assert client.get("/requests/nothing").status_code == 404
    assert (
        client.get("/api/requests/nothing", headers={"Accept": "application/json"}).json()["code"] == "unknown_request"
    )


def _send(client, request_id, verb, token=None):
    token = token or access.form_token(access.Visitor("7", "Ada", True), "a secret")
    return client.post(f"/requests/{request_id}/{verb}", data={"token": token})


def test_cancelling_ends_the_request_and_stops_its_run(client, house, runs, request_id):
    house.catalogue.start_stage(request_id, "run_casa")
    assert _send(client, request_id, "cancel").status_code == 303
    record = house.catalogue.get(request_id)
    assert record.state == "cancelled"
    assert "Cancelled by Ada." in [line.note for line in house.catalogue.history(request_id)]
    assert runs.cancelled == [record.run_id]
    assert _send(client, request_id, "cancel").status_code == 303
    assert runs.cancelled == [record.run_id] * 2, "the first time Airflow may not have heard of it"


def test_what_is_tried_again_in_a_new_run_counts_its_attempts_anew(client, house, runs, request_id):
    house.catalogue.fail(request_id, NotAvailable("Airflow did not start it."), "open_request")
    runs.gone = True
    assert _send(client, request_id, "retry").status_code == 303
    assert house.catalogue.get(request_id).attempt == 1, "a new run was never cleared"


@pytest.mark.parametrize("ended_by", ["failure", "cancel"])
def test_trying_again_reopens_the_request_and_its_run(client, house, runs, request_id, workspace, ended_by):
    if ended_by == "failure":
        house.catalogue.fail(request_id, NotAvailable("NGAS is down."), "fetch_products")
    else:
        house.catalogue.cancel(request_id)
    assert _send(client, request_id, "retry").status_code == 303
    record = house.catalogue.get(request_id)
    assert (record.state, record.attempt, record.reason) == ("accepted", 2, "")
    assert runs.retried == [record.run_id]
    _send(client, request_id, "retry")
    assert runs.retried == [record.run_id]


def test_what_lost_its_workspace_is_tried_again_from_its_first_stage(client, house, runs, request_id, workspace):
    house.catalogue.fail(request_id, NotAvailable("NGAS is down."), "fetch_products")
    closing.remove_workspace(house, house.catalogue.get(request_id))
    assert _send(client, request_id, "retry").status_code == 303
    assert (runs.retried, runs.anew) == ([], [house.catalogue.get(request_id).run_id])


def test_a_retry_that_airflow_refuses_is_a_failure_again(client, house, runs, request_id):
    house.catalogue.fail(request_id, NotAvailable("NGAS is down."), "fetch_products")
    runs.says_no = True
    _send(client, request_id, "retry")
    record = house.catalogue.get(request_id)
    assert (record.state, record.reason) == ("failed", "Airflow answered 404: no such DAG.")
    assert record.attempt == 1, "Airflow counts no attempt that it has refused"


def test_a_run_that_is_still_cleaning_up_is_not_tried_again(client, house, runs, request_id):
    house.catalogue.cancel(request_id)
    runs.cleaning_up = True
    answer = _send(client, request_id, "retry")
    assert answer.status_code == 503
    assert "Try again in a moment" in answer.text
    assert house.catalogue.get(request_id).state == "cancelled"
    assert runs.retried == []


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_without_permission_or_token_nothing_changes(app, client, house, runs, request_id, verb):
    if verb == "retry":
        house.catalogue.cancel(request_id)
    before = house.catalogue.get(request_id)
    assert _send(client, request_id, verb, token="x").status_code == 403
    app.dependency_overrides[access.visitor] = lambda: VIEWER
    assert _send(client, request_id, verb, token=access.form_token(VIEWER, "a secret")).status_code == 403
    assert house.catalogue.get(request_id) == before
    assert (runs.cancelled, runs.retried) == ([], [])


@pytest.mark.parametrize(("visitor", "may"), [(OTHER, False), (VIEWER, False), (OPERATOR, True)])
def test_only_its_asker_or_an_operator_cancels_a_restore(app, client, house, runs, request_id, visitor, may):
    app.dependency_overrides[access.visitor] = lambda: visitor
    assert ("Cancel this restore" in client.get(f"/requests/{request_id}").text) == may
    token = access.form_token(visitor, "a secret")
    answer = client.post(f"/requests/{request_id}/cancel", data={"token": token})
    assert (answer.status_code, house.catalogue.get(request_id).ended) == ((303, True) if may else (403, False))
    assert bool(runs.cancelled) == may


def test_the_history_says_who_asked_for_what_and_addresses_are_for_operators(app, client, house, request_id):
    house.catalogue.note(request_id, "Mailed 'accepted' to ada@example.org.")
    house.catalogue.cancel(request_id, "Cancelled by Ops.")
    seen = {}
    for visitor in (OTHER, OPERATOR):
        app.dependency_overrides[access.visitor] = lambda visitor=visitor: visitor
        seen[visitor.name] = page = client.get(f"/requests/{request_id}").text
        for words in ("Asked for by Ada, on this page.", "Cancelled by Ops."):
            assert words in page
    assert "ada@example.org" not in seen["Cyd"]
    assert "a...@..." in seen["Cyd"]
    assert seen["Ops"].count("ada@example.org") == 2


class TestSteps:
    def record(self, house, request_id, state):
        record = house.catalogue.get(request_id)
        return dataclasses.replace(record, state=state)

    def timings(self, *stages):
        """Stages of a minute each; the last one goes on."""
        found = [
            StageTiming(stage, NOON + timedelta(minutes=number), NOON + timedelta(minutes=number + 1))
            for number, stage in enumerate(stages)
        ]
        return [*found[:-1], StageTiming(found[-1].stage, found[-1].started, None)]

    def test_stages_that_run_side_by_side_are_one_step(self, house, request_id):
        timings = self.timings("open_request", "prepare_workspace", "fetch_asdm", "fetch_products", "fetch_asdm")
        steps = progress.steps_of(timings, self.record(house, request_id, "running"), NOON + timedelta(minutes=9))
        assert [(step.name, step.state, step.seconds) for step in steps[:3]] == [
            ("Accept", "done", 120.0),
            ("Fetch", "running", 420.0),
            ("Prepare", "waiting", None),
        ]

    @pytest.mark.parametrize(("state", "last"), [("running", "running"), ("failed", "stopped"), ("delivered", "done")])
    def test_the_last_step_says_how_it_stands(self, house, request_id, state, last):
        steps = progress.steps_of(self.timings("deliver"), self.record(house, request_id, state), NOON)
        assert steps[-1].state == last
        assert {step.state for step in steps[:-1]} == {"done"}

    def test_the_end_is_estimated_from_what_is_left(self):
        steps = [
            Step("Fetch", "done", NOON, 50.0),
            Step("Run CASA", "running", NOON, 40.0),
            Step("Deliver", "waiting", None, None),
        ]
        usual = {"Fetch": 10.0, "Run CASA": 100.0, "Deliver": 30.0}
        assert progress.estimated_end(steps, usual, NOON) == NOON + timedelta(seconds=90)
        assert progress.estimated_end(steps, {}, NOON) is None

    def test_earlier_restores_count_by_their_execution_blocks(self, client, house, request_id, restorable):
        house.catalogue.start_stage(request_id, "run_casa")
        house.catalogue.finish(request_id)
        assert progress.usual_seconds(house, {}, 2) == {"Run CASA": progress.SHORTEST_S}
        timed = StageTiming("run_casa", NOON, NOON + timedelta(seconds=60))
        house.catalogue.stage_timings = lambda _: (timed,)
        assert progress.usual_seconds(house, {restorable: 3}, 6) == {"Run CASA": 120.0}
        assert progress.usual_seconds(house, {Uid("uid://A001/X9/X9"): 3}, 6) == {"Run CASA": 60.0}
