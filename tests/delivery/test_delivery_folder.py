"""A delivery is there whole, or not at all."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess

import pytest
from restored_mous import EBS, MOUS, tree

from alma_restore.delivery import folder
from alma_restore.delivery.checksums import SUMS, read_sums, sha256
from alma_restore.delivery.contents import gather
from alma_restore.delivery.folder import beside, clear_up, deliver
from alma_restore.errors import DeliveryFailed

NAME = "uid___A001_X12d1_X23e__f1a4dd4a"
MS = f"{EBS[0].sanitised}.ms"


@pytest.fixture
def files(workspace):
    return gather(workspace, MOUS, EBS)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "deliveries"


def assert_whole(final, files):
    assert {name: path.read_bytes() for name, path in files.items()} == {
        name: content for name, content in tree(final).items() if name != "SHA256SUMS"
    }
    check = subprocess.run(["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=final, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout
    assert check.stdout.count(": OK") == len(files)


def assert_nothing_beside(root):
    assert [path.name for path in root.iterdir()] in ([], [NAME])


def test_everything_arrives_with_checksums(files, root, workspace):
    before = tree(workspace.root)
    delivered = deliver(files, root, NAME)
    assert_whole(root / NAME, files)
    assert_nothing_beside(root)
    assert tree(workspace.root) == before
    assert delivered.path == str(root / NAME)
    assert delivered.files == len(files) + 1
    assert delivered.size_bytes == sum(map(len, tree(root / NAME).values()))
    assert delivered.sha256 == sha256(root / NAME / "SHA256SUMS")


def test_on_the_same_disk_nothing_is_copied(files, root):
    deliver(files, root, NAME)
    assert all((root / NAME / name).samefile(source) for name, source in files.items())


def test_on_another_disk_it_is_copied(files, other_disk):
    deliver(files, other_disk, NAME)
    assert_whole(other_disk / NAME, files)
    name = f"{MS}/table.dat"
    assert not (other_disk / NAME / name).samefile(files[name])


def test_the_delivery_outlives_the_workspace(files, root, workspace):
    deliver(files, root, NAME)
    content = tree(root / NAME)
    workspace.remove()
    assert tree(root / NAME) == content


@pytest.mark.parametrize("disk", ["same", "other"])
def test_a_second_delivery_changes_nothing(files, root, request, disk):
    place = root if disk == "same" else request.getfixturevalue("other_disk")

    def state():
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (place / NAME).rglob("*")}

    first = deliver(files, place, NAME)
    before = state()
    assert deliver(files, place, NAME) == first
    assert state() == before


def damage_a_file(final):
    path = final / MS / "table.dat"
    content = bytearray(path.read_bytes())
    path.unlink()
    content[100] ^= 1
    path.write_bytes(content)


def forge_the_sums(final):
    damage_a_file(final)
    sums = read_sums((final / "SHA256SUMS").read_text())
    sums[f"{MS}/table.dat"] = sha256(final / MS / "table.dat")
    (final / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


DAMAGES = {
    "a file was changed": damage_a_file,
    "a file and its checksum were changed": forge_the_sums,
    "a file is missing": lambda final: (final / "flux.csv").unlink(),
    "a MeasurementSet is missing": lambda final: shutil.rmtree(final / MS),
    "SHA256SUMS is missing": lambda final: (final / "SHA256SUMS").unlink(),
    "SHA256SUMS is nonsense": lambda final: (final / "SHA256SUMS").write_bytes(b"\xff\n"),
    "SHA256SUMS is empty": lambda final: (final / "SHA256SUMS").write_text(""),
    "it is a file": lambda final: (shutil.rmtree(final), final.write_text("")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_delivery_is_repaired(files, root, damage):
    deliver(files, root, NAME)
    damage(root / NAME)
    deliver(files, root, NAME)
    assert_whole(root / NAME, files)
    assert_nothing_beside(root)


def test_new_results_replace_old_ones(files, root, workspace):
    deliver(files, root, NAME)
    table = workspace.working / MS / "table.dat"
    table.unlink()
    table.write_text("calibrated again")
    (workspace.products / "cont.dat").unlink()
    again = gather(workspace, MOUS, EBS)
    deliver(again, root, NAME)
    assert_whole(root / NAME, again)


def test_a_file_that_came_or_went_is_reason_enough(files, root, tmp_path):
    (tmp_path / "report.html").write_text("<html>")
    for wanted in (files, {**files, "report.html": tmp_path / "report.html"}, files):
        deliver(wanted, root, NAME)
        assert_whole(root / NAME, wanted)


def test_what_others_put_there_is_carried_over(files, root):
    deliver(files, root, NAME)
    for name in ("image.fits", f"{MS}/table.f99"):
        (root / NAME / name).write_text("mine")
    damage_a_file(root / NAME)
    deliver(files, root, NAME)
    mine = {"image.fits": b"mine", f"{MS}/table.f99": b"mine"}
    assert {name: content for name, content in tree(root / NAME).items() if name in mine} == mine
    assert sha256(root / NAME / MS / "table.dat") == sha256(files[f"{MS}/table.dat"])


def test_a_link_in_the_place_of_the_delivery_is_replaced_not_followed(files, root, tmp_path):
    root.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (root / NAME).symlink_to(elsewhere)
    deliver(files, root, NAME)
    assert not (root / NAME).is_symlink()
    assert_whole(root / NAME, files)
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]


def test_a_full_disk_is_told_and_leaves_nothing(files, tiny_disk):
    with pytest.raises(DeliveryFailed, match=f"The disk of {tiny_disk} is full.") as error:
        deliver(files, tiny_disk, NAME)
    assert "retry" in error.value.remedy
    assert list(tiny_disk.iterdir()) == []


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_repair_that_fails_leaves_the_old_delivery(files, root, monkeypatch, cut_short):
    deliver(files, root, NAME)
    damage_a_file(root / NAME)
    before = tree(root)
    if cut_short:
        (root / NAME).rename(beside(root / NAME, "old"))
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(folder, "_place", lambda *_: (_ for _ in ()).throw(full))
    with pytest.raises(DeliveryFailed, match="is full"):
        deliver(files, root, NAME)
    assert tree(root) == before


def test_a_folder_that_cannot_be_made_is_named(files, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DeliveryFailed, match=f"{tmp_path}/file/{NAME} cannot be delivered"):
        deliver(files, tmp_path / "file", NAME)


def test_a_copy_that_reads_back_wrong_is_not_delivered(files, other_disk, monkeypatch):
    monkeypatch.setattr(folder, "sha256", lambda _: "0" * 64)
    with pytest.raises(DeliveryFailed, match="reads back"):
        deliver(files, other_disk, NAME)
    assert list(other_disk.iterdir()) == []


@pytest.mark.parametrize("step", ["before anything", "while building", "between the renames", "before the clean-up"])
def test_a_delivery_cut_short_is_finished_by_the_next(files, root, step):
    """Leaves behind what a crash at that moment leaves; there is an older delivery with somebody's own file in it."""
    deliver(files, root, NAME)
    final = root / NAME
    (final / "image.fits").write_text("mine")
    damage_a_file(final)
    if step == "while building":
        shutil.copytree(final / MS, beside(final, "part") / MS)
    if step == "between the renames":
        final.rename(beside(final, "old"))
        shutil.copytree(beside(final, "old"), beside(final, "part"))
    if step == "before the clean-up":
        final.rename(beside(final, "old"))
        deliver(files, root.with_name("elsewhere"), NAME)
        shutil.copytree(root.with_name("elsewhere") / NAME, final)
    deliver(files, root, NAME)
    assert (final / "image.fits").read_text() == "mine"
    (final / "image.fits").unlink()
    assert_whole(final, files)
    assert_nothing_beside(root)


def test_two_who_deliver_the_same_do_it_one_after_the_other(files, root):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=deliver, args=(files, root, NAME)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert_whole(root / NAME, files)
    assert_nothing_beside(root)


@pytest.mark.parametrize("then", ["tried again", "given up"])
def test_a_killed_delivery_shows_nothing_under_the_final_name(files, root, other_disk, then):
    big = other_disk / "big"
    big.write_bytes(os.urandom(1 << 20) * 64)
    final = root / NAME
    worker = multiprocessing.get_context("fork").Process(target=deliver, args=({**files, "big": big}, root, NAME))
    worker.start()
    while not beside(final, "part").exists():
        assert worker.is_alive()
    worker.kill()
    worker.join()
    assert worker.exitcode == -9, "it was too fast to be killed"
    assert not final.exists()
    if then == "tried again":
        deliver(files, root, NAME)
        assert_whole(final, files)
        assert_nothing_beside(root)
    else:
        clear_up(root, NAME, is_known=False)
        clear_up(root, NAME, is_known=False)
        assert list(root.iterdir()) == []


def test_of_a_delivery_killed_between_two_names_and_given_up_the_earlier_one_stays(files, root):
    deliver(files, root, NAME)
    (root / NAME).rename(beside(root / NAME, "old"))
    beside(root / NAME, "part").mkdir()
    clear_up(root, NAME, is_known=True)
    assert_whole(root / NAME, files)
    assert_nothing_beside(root)


def test_a_delivery_that_was_finished_and_told_nobody_goes_and_one_on_record_stays(files, root):
    """Killed between its last rename and the note in the catalogue, and not tried again."""
    deliver(files, root, NAME)
    clear_up(root, NAME, is_known=True)
    assert_whole(root / NAME, files)
    clear_up(root, NAME, is_known=False)
    assert list(root.iterdir()) == []


def test_a_removal_of_the_old_delivery_cut_short_leaves_nothing_of_it_to_be_carried_over(files, root, monkeypatch):
    deliver(files, root, NAME)
    fewer = dict(list(files.items())[1:])

    def cut_short(path):
        if path.is_dir() and (path / SUMS).exists():
            (path / SUMS).unlink()
            raise KeyboardInterrupt
        remove(path)

    remove = folder.remove
    monkeypatch.setattr(folder, "remove", cut_short)
    with pytest.raises(KeyboardInterrupt):
        deliver(fewer, root, NAME)
    monkeypatch.undo()
    deliver(fewer, root, NAME)
    assert_whole(root / NAME, fewer)
    assert_nothing_beside(root)
