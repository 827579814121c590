"""Files out of NGAS: right in size and checksum, under their file id, or not there.

The first part runs against the stand-in, and unchanged against a real NGAS that ALMA_RESTORE_NGAS_URL names (such as
http://127.0.0.1:7777; it must accept archive requests for the test files).
"""

from __future__ import annotations

import http.client
import logging
import os
import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from alma_restore.archive import part_file
from alma_restore.archive.ngas import NgasClient, NgasNode
from alma_restore.archive.records import ProductFile
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.errors import Corrupt, Inconsistent, Misconfigured, NotAvailable
from alma_restore.settings import NgasSettings

SETTINGS = NgasSettings(tries=3, retry_wait_s=0.0, connect_timeout_s=2.0, read_timeout_s=2.0)
CONTENT = random.Random(5).randbytes(700_001)
REAL_NGAS = os.environ.get("ALMA_RESTORE_NGAS_URL", "")


class StandIn:
    """A stand-in node with one file, and a client of it."""

    def __init__(self, server: NgasServer, folder: Path) -> None:
        self.server = server
        self.node = NgasNode(server.host, server.port)
        self.folder = folder
        self.client = NgasClient([self.node], SETTINGS, folder / "locks")

    def keep(self, content: bytes) -> ProductFile:
        name = f"member.test.{uuid.uuid4().hex}.tgz"
        (self.server.root / name).write_bytes(content)
        return ProductFile(name, "calibration", len(content))

    def retrieved(self) -> list[str]:
        """The Range of every RETRIEVE so far."""
        return [asked.range for asked in self.server.asked if asked.command == "RETRIEVE"]


class RealNgas:
    """A real server, which gets its test files through its own archive command."""

    def __init__(self, url: str, folder: Path) -> None:
        address = urlsplit(url)
        self.node = NgasNode(address.hostname, address.port, address.username or "", address.password or "")
        self.client = NgasClient([self.node], SETTINGS, folder / "locks")

    def keep(self, content: bytes) -> ProductFile:
        name = f"member.test.{uuid.uuid4().hex}.tgz"
        connection = http.client.HTTPConnection(self.node.host, self.node.port, timeout=20)
        query = urlencode({"filename": name, "mime_type": "application/octet-stream"})
        connection.request("POST", f"/QARCHIVE?{query}", content, self.node.authorization)
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        return ProductFile(name, "calibration", len(content))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NgasServer]:
    (tmp_path / "archive").mkdir()
    with NgasServer(tmp_path / "archive") as server:
        yield server


@pytest.fixture
def stand_in(server: NgasServer, tmp_path: Path) -> StandIn:
    return StandIn(server, tmp_path)


@pytest.fixture(params=["stand-in", "real"])
def ngas(request: pytest.FixtureRequest, tmp_path: Path) -> StandIn | RealNgas:
    if request.param == "stand-in":
        return request.getfixturevalue("stand_in")
    if not REAL_NGAS:
        pytest.skip("no real NGAS: set ALMA_RESTORE_NGAS_URL to run this against one")
    return RealNgas(REAL_NGAS, tmp_path)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "products"
    folder.mkdir()
    return folder


# --- against the stand-in, and against a real NGAS -------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 65_536, len(CONTENT)])
def test_a_file_arrives_as_it_is_stored(ngas: StandIn | RealNgas, into: Path, size: int) -> None:
    file = ngas.keep(CONTENT[:size])
    counts: list[int] = []
    fetched = ngas.client.fetch(file, into, counts.append)
    assert fetched == into / file.file_id
    assert fetched.read_bytes() == CONTENT[:size]
    assert counts == sorted(counts)
    assert counts[-1] == size
    assert list(into.iterdir()) == [fetched]


def test_an_interrupted_transfer_goes_on_where_it_stopped(ngas: StandIn | RealNgas, into: Path) -> None:
    file = ngas.keep(CONTENT)
    (into / f"{file.file_id}.part").write_bytes(CONTENT[:300_000])
    counts: list[int] = []
    assert ngas.client.fetch(file, into, counts.append).read_bytes() == CONTENT
    assert counts[0] > 300_000


@pytest.mark.parametrize("there", [CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT + b"more", b""])
def test_a_file_that_is_there_already_is_judged_by_its_content(
    ngas: StandIn | RealNgas, into: Path, there: bytes
) -> None:
    file = ngas.keep(CONTENT)
    (into / file.file_id).write_bytes(there)
    assert ngas.client.fetch(file, into).read_bytes() == CONTENT


@pytest.mark.parametrize("there", [CONTENT[:-1] + b"?", b"?" * 1000, CONTENT + b"more", CONTENT])
def test_a_part_file_of_something_else_does_no_harm(ngas: StandIn | RealNgas, into: Path, there: bytes) -> None:
    file = ngas.keep(CONTENT)
    (into / f"{file.file_id}.part").write_bytes(there)
    assert ngas.client.fetch(file, into).read_bytes() == CONTENT
    assert not (into / f"{file.file_id}.part").exists()


def test_a_file_that_ngas_does_not_know(ngas: StandIn | RealNgas, into: Path) -> None:
    with pytest.raises(Inconsistent, match=r"knows no file nowhere\.tgz") as caught:
        ngas.client.fetch(ProductFile("nowhere.tgz", "calibration", None), into)
    assert caught.value.remedy
    assert not list(into.iterdir())


def test_the_metadata_database_and_ngas_disagree_on_the_size(ngas: StandIn | RealNgas, into: Path) -> None:
    file = ngas.keep(CONTENT)
    with pytest.raises(Inconsistent, match=f"{len(CONTENT) + 1} bytes in the metadata database and {len(CONTENT)}"):
        ngas.client.fetch(ProductFile(file.file_id, "calibration", len(CONTENT) + 1), into)
    assert not list(into.iterdir())


def test_a_size_that_the_metadata_database_does_not_know_is_no_obstacle(ngas: StandIn | RealNgas, into: Path) -> None:
    file = ngas.keep(CONTENT)
    assert ngas.client.fetch(ProductFile(file.file_id, "calibration", None), into).read_bytes() == CONTENT


# --- what only the stand-in can be told to do ------------------------------------------------------------------------


def test_a_right_file_is_not_asked_for_again(stand_in: StandIn, into: Path) -> None:
    file = stand_in.keep(CONTENT)
    for _ in range(2):
        stand_in.client.fetch(file, into)
    assert stand_in.retrieved() == [""]


def test_only_the_missing_rest_is_asked_for(stand_in: StandIn, into: Path) -> None:
    file = stand_in.keep(CONTENT)
    (into / f"{file.file_id}.part").write_bytes(CONTENT[:300_000])
    stand_in.client.fetch(file, into)
    assert stand_in.retrieved() == ["bytes=300000-"]


def test_a_link_in_place_of_the_file_is_replaced_and_its_target_left_alone(stand_in: StandIn, into: Path) -> None:
    file = stand_in.keep(CONTENT)
    elsewhere = into.parent / "elsewhere"
    elsewhere.write_bytes(CONTENT)
    (into / file.file_id).symlink_to(elsewhere)
    assert not stand_in.client.fetch(file, into).is_symlink()
    assert elsewhere.read_bytes() == CONTENT


def test_an_empty_file(stand_in: StandIn, into: Path) -> None:
    assert stand_in.client.fetch(stand_in.keep(b""), into).read_bytes() == b""


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("plugin", ["ngamsGenCrc32", "crc32", "StreamCrc32", "crc32z", "crc32c"])
def test_every_checksum_of_ngas_is_computed(stand_in: StandIn, into: Path, plugin: str, signed: bool) -> None:
    stand_in.server.plugin, stand_in.server.signed = plugin, signed
    for content in (b"a", b"b", CONTENT):  # with either sign
        assert stand_in.client.fetch(stand_in.keep(content), into).read_bytes() == content
    stand_in.server.inject("corrupted", times=None)
    with pytest.raises(Corrupt, match="arrived with checksum"):
        stand_in.client.fetch(stand_in.keep(CONTENT), into)


@pytest.mark.parametrize("plugin", ["None", "ngamsMd5", ""])
def test_a_checksum_of_unknown_kind_means_cannot_be_verified(
    stand_in: StandIn, into: Path, plugin: str, caplog: pytest.LogCaptureFixture
) -> None:
    stand_in.server.plugin = plugin
    file = stand_in.keep(CONTENT)
    with pytest.raises(Misconfigured, match="cannot be verified"):
        stand_in.client.fetch(file, into)
    assert not list(into.iterdir())
    trusting = NgasClient([stand_in.node], SETTINGS.model_copy(update={"verify_unknown": True}), into.parent)
    with caplog.at_level(logging.WARNING):
        assert trusting.fetch(file, into).read_bytes() == CONTENT
    assert "by size alone" in caplog.text


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/b", "..", ".", "", "a\0b", "a\nb", "x" * 251])
def test_a_file_id_that_is_no_plain_name_is_refused(stand_in: StandIn, into: Path, name: str) -> None:
    with pytest.raises(Corrupt, match="cannot be the name of a file"):
        stand_in.client.fetch(ProductFile(name, "calibration", None), into)
    assert not stand_in.server.asked


def test_user_and_password_are_sent_at_once(tmp_path: Path, into: Path) -> None:
    with NgasServer(into.parent, credentials=("alma", "s:cret")) as server:
        stand_in = StandIn(server, tmp_path)
        file = stand_in.keep(CONTENT)
        knows = NgasClient([NgasNode(server.host, server.port, "alma", "s:cret")], SETTINGS, tmp_path / "locks")
        assert knows.fetch(file, into).read_bytes() == CONTENT
        assert all(asked.authorization for asked in server.asked)
        with pytest.raises(Misconfigured, match=r"refuses access .* \(401\)"):
            stand_in.client.fetch(stand_in.keep(CONTENT), into)


def test_the_password_is_in_no_message() -> None:
    assert "s:cret" not in repr(NgasNode("ngas", 7777, "alma", "s:cret"))


# --- several nodes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def other(tmp_path: Path) -> Iterator[NgasServer]:
    (tmp_path / "other archive").mkdir()
    with NgasServer(tmp_path / "other archive") as other:
        yield other


def test_a_redirect_is_followed_without_telling_a_stranger_who_we_are(
    stand_in: StandIn, other: NgasServer, into: Path
) -> None:
    stand_in.server.elsewhere = other.address
    file = StandIn(other, into.parent).keep(CONTENT)
    node = NgasNode(stand_in.node.host, stand_in.node.port, "alma", "secret")
    assert NgasClient([node], SETTINGS, into.parent / "locks").fetch(file, into).read_bytes() == CONTENT
    assert [bool(asked.authorization) for asked in stand_in.server.asked] == [True, True]
    assert [asked.authorization for asked in other.asked] == ["", ""]


def test_a_redirect_to_a_configured_node_brings_that_nodes_own_credentials(
    stand_in: StandIn, other: NgasServer, into: Path
) -> None:
    stand_in.server.elsewhere = other.address
    file = StandIn(other, into.parent).keep(CONTENT)
    nodes = [NgasNode(other.host, other.port, "other", "known"), stand_in.node]
    for _ in range(8):  # until the first node was asked first
        NgasClient(nodes, SETTINGS, into.parent / "locks").fetch(file, into)
    known = nodes[0].authorization["Authorization"]
    assert stand_in.server.asked
    assert {asked.authorization for asked in other.asked} == {known}
    assert {asked.authorization for asked in stand_in.server.asked} == {""}


def test_hops_are_limited(stand_in: StandIn, into: Path) -> None:
    stand_in.server.elsewhere = stand_in.server.address
    with pytest.raises(NotAvailable, match="from node to node"):
        stand_in.client.fetch(ProductFile("nowhere.tgz", "calibration", None), into)
    assert len(stand_in.server.asked) == SETTINGS.tries * (SETTINGS.max_hops + 1)


@pytest.mark.parametrize("fault", ["unknown_file", "corrupted", "busy", "empty_reply", "truncated", "offline", "cut"])
def test_what_one_node_cannot_give_another_can(stand_in: StandIn, other: NgasServer, into: Path, fault: str) -> None:
    file = stand_in.keep(CONTENT)
    (other.root / file.file_id).write_bytes(CONTENT)
    stand_in.server.inject(fault, times=None)
    client = NgasClient([stand_in.node, NgasNode(other.host, other.port)], SETTINGS, into.parent / "locks")
    for _ in range(6):
        client.fetch(file, into).unlink()
    assert stand_in.retrieved()


def test_a_file_that_no_node_knows_is_asked_for_once_at_each(stand_in: StandIn, other: NgasServer, into: Path) -> None:
    client = NgasClient([stand_in.node, NgasNode(other.host, other.port)], SETTINGS, into.parent / "locks")
    with pytest.raises(Inconsistent, match="knows no file"):
        client.fetch(ProductFile("nowhere.tgz", "calibration", None), into)
    assert [len(stand_in.server.asked), len(other.asked)] == [1, 1]


# --- side by side ----------------------------------------------------------------------------------------------------


def test_a_node_sends_no_more_files_at_once_than_allowed(stand_in: StandIn, into: Path) -> None:
    files = [stand_in.keep(CONTENT) for _ in range(8)]
    stand_in.server.slow_s = 0.05
    limited = SETTINGS.model_copy(update={"streams_per_node": 2})
    clients = [NgasClient([stand_in.node], limited, into.parent / "locks") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        fetched = list(pool.map(lambda pair: pair[0].fetch(pair[1], into), zip(clients, files, strict=True)))
    assert all(path.read_bytes() == CONTENT for path in fetched)
    assert stand_in.server.most_streams == 2


def test_two_that_fetch_one_file_at_once_do_not_spoil_it(stand_in: StandIn, into: Path) -> None:
    file = stand_in.keep(CONTENT)
    stand_in.server.inject("stalled", after_bytes=400_000)
    first = threading.Thread(target=stand_in.client.fetch, args=(file, into), daemon=True)
    first.start()
    while not (into / f"{file.file_id}.part").exists():
        first.join(0.01)
    impatient = NgasClient([stand_in.node], SETTINGS.model_copy(update={"tries": 1}), into.parent / "locks")
    with pytest.raises(NotAvailable, match="Another process is fetching"):
        impatient.fetch(file, into)
    first.join(20)
    assert (into / file.file_id).read_bytes() == CONTENT


# --- the disk --------------------------------------------------------------------------------------------------------


def test_a_full_disk_can_be_tried_again_later(stand_in: StandIn, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = stand_in.keep(CONTENT)
    with monkeypatch.context() as disk:
        disk.setattr(part_file.os, "fsync", full)
        with pytest.raises(NotAvailable, match="disk is full"):
            stand_in.client.fetch(file, into)
        assert not (into / file.file_id).exists()
    assert stand_in.client.fetch(file, into).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written(stand_in: StandIn, tmp_path: Path) -> None:
    (tmp_path / "no folder").write_text("")
    with pytest.raises(Misconfigured, match="cannot be written"):
        stand_in.client.fetch(stand_in.keep(CONTENT), tmp_path / "no folder")


def test_a_client_without_nodes() -> None:
    with pytest.raises(Misconfigured, match="No NGAS node"):
        NgasClient([], SETTINGS, Path())
