"""How a request fares whose execution blocks have a CASA run each."""

from __future__ import annotations

import os

import pytest

from alma_restore.casa import attempts
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.launchers.base import Handle
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid
from alma_restore.web import progress
from alma_restore.workspace import Workspace

EBS = [Uid(f"uid://A002/X1/X{number}") for number in (1, 2, 3)]


@pytest.fixture
def in_parts(house, restorable, tmp_path):
    """A restore of so many execution blocks: its id and its workspace."""

    def made(ebs):
        uids = [Uid(f"uid://A002/X{ebs}/X{number}") for number in range(ebs)]
        request_id = house.catalogue.open_request(RestoreRequest(mous_uid=restorable, correlation_id=str(ebs))).id
        workspace = Workspace(tmp_path / "spool" / str(ebs)).create({"fileSetIds": uids})
        house.catalogue.set_workspace(request_id, str(workspace.root))
        for uid in uids:
            _write_log(workspace.part(uid).create({}), "first\nsecond\nthird\n")
        return request_id, workspace

    return made


def _write_log(part, text):
    attempts.note(part, Attempt(1, "key", Handle("local", "1", str(attempts.folder(part, 1)))))
    attempts.folder(part, 1).mkdir()
    (attempts.folder(part, 1) / "log").write_text(text)


def test_each_execution_block_more_costs_a_look_the_same(house, in_parts, monkeypatch):
    asked = []
    for name in ("stat", "lstat", "scandir", "listdir"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, real=real, **kw: asked.append(args) or real(*args, **kw))

    def cost(ebs):
        record = house.catalogue.get(in_parts(ebs)[0])
        asked.clear()
        assert progress.look(house, record, {}).ebs == ebs
        return len(asked)

    few, some, many = cost(5), cost(10), cost(15)
    assert many - some == some - few > 0


def test_of_more_runs_than_lines_each_shows_its_last_one(in_parts):
    _, workspace = in_parts(4)
    assert progress.log_tail(workspace, lines=3).count("third") == 4
    assert "second" not in progress.log_tail(workspace, lines=3)


def test_every_run_that_has_begun_counts_and_shows_the_end_of_its_log(house, restorable, tmp_path):
    request_id = house.catalogue.open_request(RestoreRequest(mous_uid=restorable)).id
    workspace = Workspace(tmp_path / "spool").create({"fileSetIds": EBS})
    house.catalogue.set_workspace(request_id, str(workspace.root))
    for uid in EBS:
        workspace.part(uid).create({})
    for uid in EBS[:2]:
        _write_log(workspace.part(uid), f"first\nsecond\nthird of {uid}\n")
    (workspace.part(EBS[0]).working / f"{EBS[0].sanitised}.ms").mkdir()

    seen = progress.look(house, house.catalogue.get(request_id), {})
    assert (seen.ebs, seen.casa_ebs) == (3, 1)
    assert seen.log.startswith("== uid___A002_X1_X1\nfirst\n")
    ends = [f"== {uid.sanitised}\nsecond\nthird of {uid}" for uid in EBS[:2]]
    assert progress.log_tail(workspace, lines=6) == "\n\n".join(ends)
