"""The spool folder of one restore."""

from datetime import datetime, timezone

import pytest

from alma_restore.errors import Misconfigured
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace, folder_name, write_whole


def test_the_folder_is_named_as_the_observatory_names_it():
    opened = datetime(2018, 9, 21, 14, 17, 0, 434_999, tzinfo=timezone.utc)
    assert folder_name(Uid("uid://A002/Xd248b5/Xa7a"), opened) == "uid___A002_Xd248b5_Xa7a_2018_09_21_T14_17_00.434"


def test_making_a_workspace_again_keeps_what_was_fetched(tmp_path):
    workspace = Workspace(tmp_path / "one").create({"fileSetIds": ["uid://A002/X1/X2"]})
    (workspace.rawdata / "uid___A002_X1_X2").mkdir()
    workspace.create({"fileSetIds": ["uid://A002/X1/X3"]})
    assert (workspace.rawdata / "uid___A002_X1_X2").is_dir()
    assert workspace.metadata() == {"fileSetIds": ["uid://A002/X1/X3"]}


def test_an_emptied_working_folder_keeps_the_rest(tmp_path):
    workspace = Workspace(tmp_path / "one").create({})
    (workspace.working / "old.ms").mkdir()
    (workspace.products / "a.tgz").write_text("x")
    workspace.empty_working()
    assert list(workspace.working.iterdir()) == []
    assert (workspace.products / "a.tgz").exists()


def test_a_spool_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(Misconfigured, match="ALMA_RESTORE_SPOOL"):
        Workspace(tmp_path / "spool" / "one").create({})


def test_a_file_that_is_written_anew_leaves_what_is_linked_to_the_old_one(tmp_path):
    """As a delivery is; and a kill in between leaves the old file."""
    file, delivered = tmp_path / "PPR.xml", tmp_path / "delivered.xml"
    write_whole(file, b"old")
    delivered.hardlink_to(file)
    write_whole(file, b"new")
    assert (file.read_bytes(), delivered.read_bytes()) == (b"new", b"old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PPR.xml", "delivered.xml"]
