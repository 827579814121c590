"""What has expired is removed; what is kept, renewed or not ours stays."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone

import pytest
from restored_mous import EBS, MOUS, tree

from alma_restore.catalogue.store import Catalogue
from alma_restore.delivery import expiry
from alma_restore.delivery.contents import gather
from alma_restore.delivery.destination import delivery_name
from alma_restore.delivery.expiry import Removal, remove_expired
from alma_restore.delivery.folder import beside, deliver
from alma_restore.request import RestoreRequest
from alma_restore.settings import Settings

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


@pytest.fixture
def catalogue(settings):
    return Catalogue.opened(settings.catalogue)


@pytest.fixture
def delivered(catalogue, settings, workspace):
    """Delivers a request for real, expiring now; answers its id and its folder."""

    def make(root=settings.delivery_root, path=None):
        request_id = catalogue.open_request(RestoreRequest(mous_uid=MOUS)).id
        catalogue.start_stage(request_id, "deliver")
        done = deliver(gather(workspace, MOUS, EBS), root, delivery_name(MOUS, request_id))
        facts = {"size_bytes": done.size_bytes, "files": done.files, "sha256": done.sha256}
        catalogue.record_delivery(request_id, destination="", path=path or done.path, expires_at=NOW, **facts)
        catalogue.finish(request_id)
        return request_id, root / delivery_name(MOUS, request_id)

    return make


def test_an_expired_delivery_is_removed_and_the_others_stay(catalogue, settings, delivered):
    expired, gone = delivered()
    kept, wanted = delivered()
    catalogue.keep_delivery(kept)
    assert remove_expired(catalogue, settings, NOW - timedelta(seconds=1)) == ()
    assert remove_expired(catalogue, settings, NOW) == (Removal(expired, str(gone)),)
    assert list(settings.delivery_root.iterdir()) == [wanted]
    assert catalogue.get(expired).state == "expired"
    assert catalogue.delivery(expired).removed_at is not None
    assert catalogue.get(kept).state == "delivered"
    assert remove_expired(catalogue, settings, NOW) == ()


def test_the_workspace_is_not_touched(catalogue, settings, delivered, workspace):
    delivered()
    before = tree(workspace.root)
    remove_expired(catalogue, settings, NOW)
    assert tree(workspace.root) == before


@pytest.mark.parametrize("meanwhile", ["reopened", "kept"])
def test_what_changes_while_the_list_is_worked_off_stays(catalogue, settings, delivered, monkeypatch, meanwhile):
    request_id, folder = delivered()
    due = catalogue.due_deliveries(NOW)
    if meanwhile == "reopened":
        catalogue.reopen(request_id)
    else:
        catalogue.keep_delivery(request_id)
    monkeypatch.setattr(catalogue, "due_deliveries", lambda _: due)
    assert remove_expired(catalogue, settings, NOW) == ()
    assert folder.is_dir()
    assert catalogue.get(request_id).state != "expired"


def test_a_removal_cut_short_is_finished_by_the_next(catalogue, settings, delivered, monkeypatch):
    request_id, folder = delivered()

    def cut_short(path):
        if path.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(expiry, "remove", cut_short)
    with pytest.raises(KeyboardInterrupt):
        remove_expired(catalogue, settings, NOW)
    assert not folder.exists(), "nobody sees half a delivery"
    assert beside(folder, "trash").exists()
    monkeypatch.undo()
    assert remove_expired(catalogue, settings, NOW) == (Removal(request_id, str(folder)),)
    assert list(settings.delivery_root.iterdir()) == []


def test_a_delivery_that_somebody_removed_already_is_gone(catalogue, settings, delivered):
    expired, removed = delivered()
    shutil.rmtree(removed)
    assert remove_expired(catalogue, settings, NOW) == (Removal(expired, str(removed)),)
    assert catalogue.delivery(expired).removed_at is not None


@pytest.mark.parametrize("what_is_left", ["nothing", "a file"])
def test_a_delivery_is_gone_with_the_folder_that_its_requester_removed(catalogue, settings, delivered, what_is_left):
    theirs = settings.delivery_root / "ada" / "alma"
    expired, removed = delivered(root=theirs)
    shutil.rmtree(theirs.parent)
    if what_is_left == "a file":
        theirs.parent.touch()
    assert remove_expired(catalogue, settings, NOW) == (Removal(expired, str(removed)),)
    assert catalogue.get(expired).state == "expired"
    assert catalogue.delivery(expired).removed_at is not None
    assert not theirs.exists()
    assert remove_expired(catalogue, settings, NOW) == ()


def test_a_folder_that_cannot_be_looked_at_is_not_gone(catalogue, settings, delivered):
    theirs = settings.delivery_root / "ada" / "alma"
    expired, _ = delivered(root=theirs)
    theirs.rename(theirs.with_name("elsewhere"))
    theirs.symlink_to("a disk that is away")
    (removal,) = remove_expired(catalogue, settings, NOW)
    assert "It cannot be removed" in removal.problem
    assert catalogue.get(expired).state == "delivered"


@pytest.mark.parametrize("below", ["", "ada"])
def test_a_disk_that_is_not_there_is_not_an_empty_one(catalogue, settings, delivered, below):
    expired, _ = delivered(root=settings.delivery_root / below)
    settings.delivery_root.rename(settings.delivery_root.with_name("unmounted"))
    (removal,) = remove_expired(catalogue, settings, NOW)
    assert "It cannot be removed" in removal.problem
    assert catalogue.get(expired).state == "delivered"


def test_nothing_is_removed_that_we_did_not_deliver(catalogue, settings, delivered, tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    inside = settings.delivery_root / "somebody else's"
    inside.mkdir(parents=True)
    paths = {str(precious), str(inside), "/", "sftp://mirror/incoming", f"{settings.delivery_root}/../precious"}
    for path in paths:
        delivered(path=path)
    removals = remove_expired(catalogue, settings, NOW)
    assert {removal.path for removal in removals} == paths
    assert all(removal.problem.startswith("It is no folder that we delivered to") for removal in removals)
    assert precious.is_dir()
    assert inside.is_dir()


def test_a_delivery_below_a_link_out_of_the_roots_stays(catalogue, settings, delivered, tmp_path):
    request_id, folder = delivered(root=tmp_path / "elsewhere")
    settings.delivery_root.mkdir()
    (settings.delivery_root / "link").symlink_to(tmp_path / "elsewhere")
    catalogue.reopen(request_id)
    catalogue.start_stage(request_id, "deliver")
    path = str(settings.delivery_root / "link" / folder.name)
    catalogue.record_delivery(request_id, destination="", path=path, size_bytes=1, files=1, sha256="", expires_at=NOW)
    catalogue.finish(request_id)
    (removal,) = remove_expired(catalogue, settings, NOW)
    assert removal.problem
    assert folder.is_dir()


def test_one_that_cannot_be_removed_does_not_keep_the_others(catalogue, settings, delivered, monkeypatch):
    first, stubborn = delivered()
    second, gone = delivered()
    removing = expiry.remove

    def refuse(path):
        if path.exists() and stubborn.name in path.name:
            raise PermissionError(f"not yours: {path}")
        removing(path)

    monkeypatch.setattr(expiry, "remove", refuse)
    problem, removed = remove_expired(catalogue, settings, NOW)
    assert "It cannot be removed: not yours" in problem.problem
    assert removed == Removal(second, str(gone))
    assert catalogue.delivery(first).removed_at is None
