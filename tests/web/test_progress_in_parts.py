"""How a request fares whose execution blocks have a CASA run each."""

from __future__ import annotations

from alma_restore.casa import attempts
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.launchers.base import Handle
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid
from alma_restore.web import progress
from alma_restore.workspace import Workspace

EBS = [Uid(f"uid://A002/X1/X{number}") for number in (1, 2, 3)]


def test_every_run_that_has_begun_counts_and_shows_the_end_of_its_log(house, restorable, tmp_path):
    request_id = house.catalogue.open_request(RestoreRequest(mous_uid=restorable)).id
    workspace = Workspace(tmp_path / "spool").create({"fileSetIds": EBS})
    house.catalogue.set_workspace(request_id, str(workspace.root))
    for uid in EBS:
        workspace.part(uid).create({})
    for uid in EBS[:2]:
        part = workspace.part(uid)
        attempts.note(part, Attempt(1, "key", Handle("local", "1", str(attempts.folder(part, 1)))))
        attempts.folder(part, 1).mkdir()
        (attempts.folder(part, 1) / "log").write_text(f"first\nsecond\nthird of {uid}\n")
    (workspace.part(EBS[0]).working / f"{EBS[0].sanitised}.ms").mkdir()

    seen = progress.look(house, house.catalogue.get(request_id), {})
    assert (seen.ebs, seen.casa_ebs) == (3, 1)
    assert seen.log.startswith("== uid___A002_X1_X1\nfirst\n")
    ends = [f"== {uid.sanitised}\nsecond\nthird of {uid}" for uid in EBS[:2]]
    assert progress.log_tail(workspace, lines=6) == "\n\n".join(ends)
