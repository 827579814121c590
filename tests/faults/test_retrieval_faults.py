"""Whatever NGAS and the network do, a fetched file is right or absent, and the end comes soon."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

from alma_restore.archive.ngas import NgasClient, NgasNode
from alma_restore.archive.records import ProductFile
from alma_restore.demo import ngas_faults
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.errors import Corrupt, Inconsistent, Misconfigured, NotAvailable, RestoreError
from alma_restore.settings import NgasSettings

NAME = "uid___A001_X1_X2.session_1.caltables.tgz"
SIZES = {"small": 5_000, "large": 6_000_000}
IMPATIENT = NgasSettings(tries=3, retry_wait_s=0.0, connect_timeout_s=2.0, read_timeout_s=1.0)
LONGEST_S = 20.0

MENDED_BY_A_SECOND_TRY = dict.fromkeys(ngas_faults.ALL) | {
    "unknown_file": Inconsistent,
    "unauthorized": Misconfigured,
    "forbidden": Misconfigured,
}
LASTING = dict.fromkeys(ngas_faults.ALL, NotAvailable) | {
    "unknown_file": Inconsistent,
    "unauthorized": Misconfigured,
    "forbidden": Misconfigured,
    "corrupted": Corrupt,
    "truncated": Corrupt,
    "too_long": Corrupt,
    "garbled_status": Corrupt,
    "range_ignored": None,
}


@cache
def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def ngas(tmp_path: Path) -> Iterator[NgasServer]:
    (tmp_path / "archive").mkdir()
    (tmp_path / "products").mkdir()
    with NgasServer(tmp_path / "archive") as server:
        yield server


@pytest.fixture(params=SIZES)
def content(request: pytest.FixtureRequest, ngas: NgasServer) -> bytes:
    content = random_bytes(SIZES[request.param])
    (ngas.root / NAME).write_bytes(content)
    return content


def fetch(ngas: NgasServer | NgasNode, into: Path, settings: NgasSettings = IMPATIENT) -> RestoreError | None:
    client = NgasClient([NgasNode(ngas.host, ngas.port)], settings, into.parent / "locks")
    started = time.monotonic()
    try:
        client.fetch(ProductFile(NAME, "calibration", None), into)
    except RestoreError as error:
        return error
    finally:
        assert time.monotonic() - started < LONGEST_S
    return None


def check(error: RestoreError | None, expected: type[RestoreError] | None, into: Path, content: bytes) -> None:
    if expected is None:
        assert error is None
        assert (into / NAME).read_bytes() == content
    else:
        assert isinstance(error, expected)
        assert NAME in error.sentence or "STATUS" in error.sentence
        assert not (into / NAME).exists()
        assert all(left.stat().st_size for left in into.iterdir())


@pytest.mark.parametrize("fault", ngas_faults.ALL)
def test_a_fault_on_the_first_try(ngas: NgasServer, content: bytes, fault: str, tmp_path: Path) -> None:
    ngas.inject(fault)
    error = fetch(ngas, tmp_path / "products")
    check(error, MENDED_BY_A_SECOND_TRY[fault], tmp_path / "products", content)


@pytest.mark.parametrize("fault", ngas_faults.ALL)
def test_a_fault_on_every_try(ngas: NgasServer, content: bytes, fault: str, tmp_path: Path) -> None:
    ngas.inject(fault, times=None)
    error = fetch(ngas, tmp_path / "products")
    check(error, LASTING[fault], tmp_path / "products", content)


@pytest.mark.parametrize("fault", ngas_faults.ALL)
def test_a_fault_in_mid_transfer(ngas: NgasServer, content: bytes, fault: str, tmp_path: Path) -> None:
    """Half of the file has arrived when the fault shows: in the body itself, or when the rest is asked for."""
    if fault not in ngas_faults.BODIES or fault == "range_ignored":
        ngas.inject("cut", after_bytes=len(content) // 2)
    ngas.inject(fault, after_bytes=len(content) // 2, skip=1 if fault == "garbled_status" else 0)
    error = fetch(ngas, tmp_path / "products")
    check(error, MENDED_BY_A_SECOND_TRY[fault], tmp_path / "products", content)


@pytest.mark.parametrize("command", ["STATUS", "RETRIEVE"])
@pytest.mark.parametrize("fault", ngas_faults.REFUSALS)
def test_every_command_can_be_refused(
    ngas: NgasServer, content: bytes, fault: str, command: str, tmp_path: Path
) -> None:
    ngas.inject(fault, times=None, when=command)
    check(fetch(ngas, tmp_path / "products"), LASTING[fault], tmp_path / "products", content)


def test_a_port_that_looks_like_a_code_is_none(tmp_path: Path) -> None:
    """4019 is NGAS's code of an unknown file; every message of a node at port 40190 holds it too."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "products").mkdir()
    (tmp_path / "archive" / NAME).write_bytes(random_bytes(5_000))
    with listening_at_one_of(range(40190, 40200), tmp_path / "archive") as node:
        node.inject("offline")
        check(fetch(node, tmp_path / "products"), None, tmp_path / "products", random_bytes(5_000))


def listening_at_one_of(ports: range, root: Path) -> NgasServer:
    for port in ports:
        with suppress(OSError):
            return NgasServer(root, port)
    raise AssertionError(f"none of the ports {ports} is free")


Answer = Callable[[socket.socket, bytes, bytes], object]
"""Sends what it likes of a node's whole reply to a request."""


@contextmanager
def front_end_of(ngas: NgasServer, answer: Answer) -> Iterator[NgasNode]:
    """A proxy in front of a node."""

    def pass_on(near: socket.socket) -> None:
        with near, suppress(OSError):
            asked = near.recv(65536)
            with socket.create_connection((ngas.host, ngas.port)) as far:
                far.sendall(asked)
                reply = b"".join(iter(lambda: far.recv(65536), b""))
            answer(near, asked, reply)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=pass_on, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        yield NgasNode(*listening.getsockname())


@pytest.mark.parametrize(("cuts", "expected"), [(IMPATIENT.tries - 1, None), (99, NotAvailable)])
def test_a_status_that_is_cut_is_asked_for_again(
    ngas: NgasServer, content: bytes, cuts: int, expected: type[RestoreError] | None, tmp_path: Path
) -> None:
    left = [cuts]

    def cut(near: socket.socket, asked: bytes, reply: bytes) -> None:
        if left[0] and asked.startswith(b"GET /STATUS"):
            left[0] -= 1
            reply = reply[:-60]
        near.sendall(reply)

    with front_end_of(ngas, cut) as node:
        check(fetch(node, tmp_path / "products"), expected, tmp_path / "products", content)


def test_a_front_end_that_keeps_connections_open_is_not_waited_for(
    ngas: NgasServer, content: bytes, tmp_path: Path
) -> None:
    heard = []

    def keep_open(near: socket.socket, asked: bytes, reply: bytes) -> None:
        heard.append(asked)
        near.sendall(reply)
        near.recv(1)

    with front_end_of(ngas, keep_open) as node:
        check(fetch(node, tmp_path / "products"), None, tmp_path / "products", content)
    assert all(b"\r\nConnection: close\r\n" in asked for asked in heard)


def test_many_different_faults_one_after_another(ngas: NgasServer, content: bytes, tmp_path: Path) -> None:
    for fault in ("busy", "cut", "stalled", "range_ignored", "offline", "reset", "empty_reply", "trickle"):
        ngas.inject(fault, after_bytes=len(content) // 2)
    patient = IMPATIENT.model_copy(update={"tries": 10})
    check(fetch(ngas, tmp_path / "products", patient), None, tmp_path / "products", content)


def test_a_transfer_that_keeps_being_cut_ends_with_what_it_has(ngas: NgasServer, tmp_path: Path) -> None:
    """And the next fetch, by another task, needs only the rest."""
    content = random_bytes(900_000)
    (ngas.root / NAME).write_bytes(content)
    for after in (200_000, 400_000, 600_000):
        ngas.inject("cut", after_bytes=after)
    into = tmp_path / "products"
    check(fetch(ngas, into), NotAvailable, into, content)
    check(fetch(ngas, into), None, into, content)
    asked = [ask.range for ask in ngas.asked if ask.command == "RETRIEVE"]
    assert asked == ["", "bytes=200000-", "bytes=400000-", "bytes=600000-"]


def test_a_server_that_is_not_there(tmp_path: Path, unused_port: int) -> None:
    client = NgasClient([NgasNode("127.0.0.1", unused_port)], IMPATIENT, tmp_path / "locks")
    with pytest.raises(NotAvailable, match="does not answer"):
        client.fetch(ProductFile(NAME, "calibration", 5), tmp_path)
    assert not (tmp_path / NAME).exists()


@pytest.fixture
def unused_port(ngas: NgasServer) -> int:
    with NgasServer(ngas.root) as gone:
        return gone.port
