"""Delivery over SFTP, to a real sshd or a plainer server: whole under its name, or not there; through broken links."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath

import paramiko
import pytest
from plain_sftp import PlainSftp
from restored_mous import EBS, MOUS, tree

from alma_restore.delivery import sftp
from alma_restore.delivery.contents import gather
from alma_restore.delivery.destination import SftpDestination
from alma_restore.delivery.sftp import deliver
from alma_restore.errors import DeliveryFailed, Misconfigured
from far_end import SSHD, FrailLink, far_end

NAME = "uid___A001_X12d1_X23e__f1a4dd4a"
MS = f"{EBS[0].sanitised}.ms"
BIG = 3 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if SSHD is None:
        pytest.skip("sshd is not installed (apt-get install openssh-server)")
    with far_end(tmp_path_factory.mktemp("sshd")) as end:
        yield end


@pytest.fixture(scope="module")
def plain():
    plain = PlainSftp()
    yield plain
    plain.close()


@pytest.fixture(params=["OpenSSH", "without extensions"])
def any_server(request):
    return request.getfixturevalue("server" if request.param == "OpenSSH" else "plain")


@pytest.fixture
def files(workspace):
    (workspace.working / MS / "table.f17_TSM1").write_bytes(bytes(range(256)) * (BIG // 256))
    return gather(workspace, MOUS, EBS)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "far" / "incoming"


def to(root):
    return SftpDestination("mirror", PurePosixPath(root))


def assert_whole(root, files):
    assert [path.name for path in root.iterdir()] == [NAME]
    content = tree(root / NAME)
    assert content.pop("SHA256SUMS")
    assert content == {name: path.read_bytes() for name, path in files.items()}
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=root / NAME, check=True)


def inodes(root):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.rglob("*")}


def test_everything_arrives_with_checksums(any_server, files, root):
    delivered = deliver(files, to(root), NAME, any_server.connect)
    assert_whole(root, files)
    assert delivered.path == f"sftp://mirror/{root}/{NAME}"
    assert delivered.files == len(files) + 1
    assert delivered.size_bytes == sum(map(len, tree(root / NAME).values()))


def test_a_second_delivery_changes_nothing(any_server, files, root):
    first = deliver(files, to(root), NAME, any_server.connect)
    before = inodes(root)
    assert deliver(files, to(root), NAME, any_server.connect) == first
    assert inodes(root) == before


@pytest.mark.parametrize("damage", ["changed", "shorter", "missing", "no sums"])
def test_a_damaged_delivery_is_repaired(any_server, files, root, damage):
    deliver(files, to(root), NAME, any_server.connect)
    table = root / NAME / MS / "table.dat"
    if damage == "changed":
        table.write_bytes(bytes(table.stat().st_size))
    elif damage == "shorter":
        table.write_bytes(table.read_bytes()[:-1])
    elif damage == "missing":
        table.unlink()
    else:
        (root / NAME / "SHA256SUMS").unlink()
    deliver(files, to(root), NAME, any_server.connect)
    assert_whole(root, files)


@pytest.fixture
def connections():
    """One entry for each connection that was opened."""
    return []


def counted(connect, connections):
    def opened():
        connections.append(connect)
        return connect()

    return opened


def through(server, link, connections):
    return counted(lambda: server.connect(link.port), connections)


def test_a_broken_link_is_taken_up_where_it_broke(server, files, root, connections):
    link = FrailLink(server.port, breaks_after=BIG // 3, times=2)
    deliver(files, to(root), NAME, through(server, link, connections), tries=2, wait_s=0.01)
    link.close()
    assert_whole(root, files)
    assert len(connections) == 3, "both breaks were met, and each try brought something further"


def test_a_link_that_never_holds_is_given_up_and_the_next_call_goes_on(server, files, root, connections):
    link = FrailLink(server.port, breaks_after=600, times=99)
    with pytest.raises(DeliveryFailed, match=f"sftp://mirror/{root} cannot be delivered to"):
        deliver(files, to(root), NAME, through(server, link, connections), tries=3, wait_s=0.01)
    link.close()
    assert len(connections) == 3
    assert not (root / NAME).exists()
    deliver(files, to(root), NAME, server.connect)
    assert_whole(root, files)


def test_what_an_earlier_try_left_is_used_only_if_it_is_right(server, files, root):
    part = root / f".{NAME}.part"
    (part / MS).mkdir(parents=True)
    big = files[f"{MS}/table.f17_TSM1"].read_bytes()
    (part / MS / "table.f17_TSM1").write_bytes(big[: BIG // 2])
    (part / "flux.csv").write_text("wrong")
    (part / "PPR.xml").write_bytes(b"longer than the real one")
    (part / "of another day").touch()
    arrived = (part / MS / "table.f17_TSM1").stat().st_ino
    deliver(files, to(root), NAME, server.connect)
    assert_whole(root, files)
    assert (root / NAME / MS / "table.f17_TSM1").stat().st_ino == arrived, "continued, not sent anew"


def test_renames_cut_apart_are_finished_by_the_next_call(server, files, root):
    deliver(files, to(root), NAME, server.connect)
    (root / NAME).rename(root / f".{NAME}.old")
    deliver(files, to(root), NAME, server.connect)
    assert_whole(root, files)


def test_a_full_disk_is_told_and_nothing_is_under_the_name(server, files, tiny_disk, connections):
    with pytest.raises(DeliveryFailed, match=r"cannot be delivered to: it took .* bytes of") as error:
        deliver(files, to(tiny_disk), NAME, counted(server.connect, connections), tries=2, wait_s=0.01)
    assert "is its disk full?" in error.value.remedy
    assert len(connections) <= 3
    assert not (tiny_disk / NAME).exists()


def test_a_far_end_that_forbids_writing_is_not_asked_again(files, root, tmp_path, connections):
    with far_end(tmp_path / "read-only", "-R") as server, pytest.raises(DeliveryFailed, match="Permission denied"):
        deliver(files, to(root), NAME, counted(server.connect, connections))
    assert len(connections) == 1
    assert not root.exists()


def test_a_far_end_that_returns_other_bytes_is_found_out(server, files, root, monkeypatch):
    monkeypatch.setattr(sftp._Site, "_reads_back", lambda *_: False)
    with pytest.raises(DeliveryFailed, match="otherwise than it was sent"):
        deliver(files, to(root), NAME, server.connect)
    assert not (root / NAME).exists()


def test_reading_back_asks_for_a_stretch_at_a_time(server, files, root, monkeypatch):
    """What is asked for takes memory before it comes: 4 MB for each GB."""
    asked, start = [], paramiko.SFTPFile._start_prefetch

    def note(self, chunks, *args):
        asked.append(sum(length for _, length in chunks))
        start(self, chunks, *args)

    monkeypatch.setattr(paramiko.SFTPFile, "_start_prefetch", note)
    monkeypatch.setattr(sftp, "_AHEAD", BIG // 3)
    deliver(files, to(root), NAME, server.connect)
    assert_whole(root, files)
    assert (max(asked), sum(asked)) == (BIG // 3, sum(path.stat().st_size for path in files.values()))


def test_each_file_more_costs_few_round_trips(any_server, files, root, monkeypatch):
    """On another continent each costs a tenth of a second."""
    asked, ask = [], paramiko.SFTPClient._request
    monkeypatch.setattr(paramiko.SFTPClient, "_request", lambda self, *what: asked.append(what[0]) or ask(self, *what))

    def cost(small_files):
        few = dict.fromkeys((f"{MS}/SUB/table.f{number}" for number in range(small_files)), files["PPR.xml"])
        asked.clear()
        deliver(few, to(root), f"of_{small_files}", any_server.connect)
        return len(asked)

    # Besides what is written and read: open, close, look, open, close; and some more to list the longer folder.
    assert cost(30) - cost(10) < 20 * 6


@pytest.mark.parametrize("dies", [True, False], ids=["killed soon", "unharmed"])
@pytest.mark.parametrize("at", [24, 170, 366, 368, 369, 370])
def test_a_try_that_comes_back_after_the_next_one_has_delivered_changes_nothing(
    any_server, files, root, monkeypatch, at, dies
):
    """As a task does whose worker was thought to be dead: it goes on at any of its requests, until Airflow kills it."""
    request, asked = paramiko.SFTPClient._async_request, []

    def ask(self, *args):
        asked.append(args)
        if len(asked) == at:
            monkeypatch.setattr(paramiko.SFTPClient, "_async_request", request)
            deliver(files, to(root), NAME, any_server.connect)
            monkeypatch.setattr(paramiko.SFTPClient, "_async_request", ask)
        if dies and len(asked) >= at + 2 and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return request(self, *args)

    monkeypatch.setattr(paramiko.SFTPClient, "_async_request", ask)
    with suppress(KeyboardInterrupt):
        deliver(files, to(root), NAME, any_server.connect, wait_s=0.01)
    monkeypatch.undo()
    assert len(asked) > at, "it had ended before"
    assert_whole(root, files)


def test_a_folder_that_could_not_be_made_is_made_over_the_next_connection(server, files, root, connections):
    """What stands in its place is taken away meanwhile."""

    @contextmanager
    def connect():
        connections.append(server.port)
        if len(connections) == 2:
            (root / f".{NAME}.part" / MS).unlink()
        with server.connect() as client:
            yield client

    (root / f".{NAME}.part").mkdir(parents=True)
    (root / f".{NAME}.part" / MS).symlink_to("nowhere")
    deliver(files, to(root), NAME, connect, wait_s=0.01)
    assert len(connections) == 2
    assert_whole(root, files)


def test_a_changed_host_key_stops_everything(server, files, root):
    known = (server.folder / "host_key.pub").read_text()
    server.know((server.folder / "client_key.pub").read_text())
    try:
        with pytest.raises(Misconfigured, match=r"host key of sftp://mirror/.* is not the one we know"):
            deliver(files, to(root), NAME, server.connect)
    finally:
        server.know(known)
    assert not root.exists()


def test_a_log_in_that_is_not_taken_is_told(server, files, root):
    with pytest.raises(Misconfigured, match="does not take our log-in"):
        deliver(files, to(root), NAME, lambda: server.connect(key=server.folder / "host_key"))


def test_nobody_there_is_told(server, files, root):
    with pytest.raises(DeliveryFailed, match="cannot be delivered to"):
        deliver(files, to(root), NAME, lambda: server.connect(port=1), tries=2, wait_s=0.01)
