"""A MeasurementSet delivered as a tar file: never written before it arrives, the same each time, whole or not there."""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import tarfile
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from restored_mous import EBS, MOUS, tree

from alma_restore.delivery import folder, sftp, sources
from alma_restore.delivery.contents import gather
from alma_restore.delivery.destination import SftpDestination
from alma_restore.delivery.folder import beside
from alma_restore.delivery.sources import Tar
from far_end import SSHD, FrailLink, far_end

NAME = "uid___A001_X12d1_X23e__f1a4dd4a"
MS = f"{EBS[0].sanitised}.ms"
TAR = f"{MS}.tar"
BIG = 3 << 20


@pytest.fixture
def files(workspace):
    (workspace.working / MS / "table.f17_TSM1").write_bytes(os.urandom(BIG + 100))
    return gather(workspace, MOUS, EBS, tar=True)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "deliveries"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if SSHD is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    with far_end(tmp_path_factory.mktemp("sshd")) as end:
        yield end


def assert_unpacks(delivered, workspace):
    """`sha256sum` and `tar` find in the delivery what lies in working/."""
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=delivered, check=True)
    for uid in EBS:
        name = f"{uid.sanitised}.ms"
        assert not (delivered / name).exists()
        unpacked = delivered.parent / "unpacked"
        unpacked.mkdir(exist_ok=True)
        subprocess.run(["tar", "-xf", delivered / f"{name}.tar"], cwd=unpacked, check=True)
        assert tree(unpacked / name) == tree(workspace.working / name)


def test_it_arrives_and_nothing_is_written_to_the_workspace(files, root, workspace):
    before = tree(workspace.root)
    delivered = folder.deliver(files, root, NAME)
    assert_unpacks(root / NAME, workspace)
    assert tree(workspace.root) == before
    assert delivered.size_bytes == sum(map(len, tree(root / NAME).values()))
    assert (root / NAME / TAR).stat().st_size == files[TAR].size_bytes


def test_the_same_files_give_the_same_archive_which_names_no_owner(files, workspace):
    again = Tar(dict(reversed(gather(workspace, MOUS, EBS, tar=True)[TAR].members.items())))
    assert b"".join(again.read()) == b"".join(files[TAR].read())
    with tarfile.open(fileobj=_file(files[TAR])) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.uid, member.gid, member.uname, member.gname, member.mode) for member in members} == {
        (0, 0, "", "", 0o644)
    }


def _file(tar):
    return io.BytesIO(b"".join(tar.read()))


@settings(deadline=None)
@given(data=st.data())
def test_an_archive_can_be_read_from_any_place_on(tmp_path_factory, data):
    sizes = data.draw(st.lists(st.sampled_from([0, 1, 511, 512, 513, 3000]), max_size=4))
    where = tmp_path_factory.mktemp("members")
    members = {f"{'long' * 60}/{number}": where / str(number) for number in range(len(sizes))}
    for path, size in zip(members.values(), sizes, strict=True):
        path.write_bytes(os.urandom(size))
    tar = Tar({**members, "a folder": where})
    whole = b"".join(tar.read())
    assert len(whole) == tar.size_bytes
    with tarfile.open(fileobj=_file(tar)) as archive:
        for name, path in members.items():
            assert archive.extractfile(name).read() == path.read_bytes()
    start = data.draw(st.integers(0, len(whole)))
    assert b"".join(sources.read(tar, start)) == whole[start:]


@pytest.mark.parametrize("name", ["short", "x" * 98, "x" * 99, "x" * 100, "x" * 101, "ü", "x" * 300, "a/" * 49 + "b"])
@pytest.mark.parametrize("modified", [0, -1, 8**11 - 1, 8**11])
@pytest.mark.parametrize("is_folder", [False, True])
def test_its_size_is_told_exactly_whatever_its_members_are_called(tmp_path, name, modified, is_folder):
    member = tmp_path / "member"
    member.mkdir() if is_folder else member.write_bytes(b"content")
    os.utime(member, (modified, modified))
    tar = Tar({name: member})
    assert tar.size_bytes == len(_file(tar).getvalue())


def test_a_member_of_more_bytes_than_a_header_has_digits_for_is_told_exactly(tmp_path):
    for size in (8**11 - 512, 8**11):
        (tmp_path / "sparse").touch()
        os.truncate(tmp_path / "sparse", size)
        tar = Tar({"big": tmp_path / "sparse"})
        end = b"".join(tar.read(tar.size_bytes - 10_240))
        assert len(end) == 10_240


def test_a_file_that_grows_meanwhile_is_not_sent_in_part(tmp_path):
    (tmp_path / "file").write_bytes(b"whole")
    tar = Tar({"file": tmp_path / "file"})
    assert tar.size_bytes
    (tmp_path / "file").write_bytes(b"whole and more")
    with pytest.raises(OSError, match="longer"):
        list(tar.read())


def test_a_second_delivery_changes_nothing(files, root):
    first = folder.deliver(files, root, NAME)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (root / NAME).rglob("*")}
    assert folder.deliver(files, root, NAME) == first
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (root / NAME).rglob("*")} == before


@pytest.mark.parametrize("what", ["the delivery", "the data", "from folders to tar files"])
def test_what_differs_is_delivered_anew(files, root, workspace, what):
    if what == "from folders to tar files":
        folder.deliver(gather(workspace, MOUS, EBS), root, NAME)
    else:
        folder.deliver(files, root, NAME)
        changed = root / NAME / TAR if what == "the delivery" else workspace.working / MS / "table.f17_TSM1"
        content = bytearray(changed.read_bytes())
        content[BIG // 2] ^= 1
        changed.write_bytes(content)
    folder.deliver(files, root, NAME)
    assert_unpacks(root / NAME, workspace)


def test_a_killed_delivery_shows_nothing_and_the_next_one_is_whole(files, root, workspace):
    big = workspace.working / "big"
    big.write_bytes(os.urandom(1 << 20) * 64)
    wanted = {**files, TAR: Tar({**files[TAR].members, f"{MS}/big": big})}
    worker = multiprocessing.get_context("fork").Process(target=folder.deliver, args=(wanted, root, NAME))
    worker.start()
    while not (beside(root / NAME, "part") / TAR).exists():
        assert worker.is_alive()
    worker.kill()
    worker.join()
    assert worker.exitcode == -9, "it was too fast to be killed"
    assert not (root / NAME).exists()
    folder.deliver(files, root, NAME)
    assert_unpacks(root / NAME, workspace)
    assert {path.name for path in root.iterdir()} == {NAME, "unpacked"}


def test_over_a_broken_link_it_is_taken_up_in_the_middle_of_the_archive(server, files, root, workspace):
    connections = []

    def connect():
        connections.append(link.port)
        return server.connect(link.port)

    link = FrailLink(server.port, breaks_after=BIG // 3, times=2)
    place = SftpDestination("mirror", PurePosixPath(root))
    delivered = sftp.deliver(files, place, NAME, connect, tries=2, wait_s=0.01)
    link.close()
    assert len(connections) == 3, "both breaks were met, and each try brought something further"
    assert_unpacks(root / NAME, workspace)
    assert delivered.size_bytes == sum(map(len, tree(root / NAME).values()))
    assert sftp.deliver(files, place, NAME, server.connect) == delivered
