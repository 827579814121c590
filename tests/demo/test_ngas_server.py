"""The stand-in NGAS speaks as DOMAIN section 5 found a real one to speak."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from alma_restore import guarded_xml
from alma_restore.demo.ngas_server import NgasServer

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NgasServer]:
    (tmp_path / "caltables.tgz").write_bytes(CONTENT)
    with NgasServer(tmp_path) as server:
        yield server


def ask(port: int, request: str, *headers: str) -> bytes:
    """Everything that comes back, to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall("\r\n".join([f"{request} HTTP/1.0", *headers, "", ""]).encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def parts(reply: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = reply.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


def test_a_file_comes_without_a_checksum_and_under_another_name(server: NgasServer) -> None:
    status, headers, body = parts(ask(server.port, "GET /RETRIEVE?file_id=caltables.tgz"))
    assert status.startswith("HTTP/1.0 200")
    assert body == CONTENT
    assert "caltables.tgz" not in headers["Content-Disposition"].split('"')[1::2]
    assert not {name for name in headers if "checksum" in name.lower() or "md5" in name.lower()}


def test_status_tells_size_and_checksum_behind_a_doctype(server: NgasServer) -> None:
    _, _, body = parts(ask(server.port, "GET /STATUS?file_id=caltables.tgz"))
    assert b"<!DOCTYPE NgamsStatus SYSTEM" in body
    file = guarded_xml.parse(body).find("DiskStatus/FileStatus")
    assert file is not None
    assert (file.get("FileSize"), file.get("Checksum")) == (str(len(CONTENT)), str(zlib.crc32(CONTENT)))


def test_head_gets_no_answer(server: NgasServer) -> None:
    assert ask(server.port, "HEAD /RETRIEVE?file_id=caltables.tgz") == b""


def test_a_range_is_answered_with_200(server: NgasServer) -> None:
    status, headers, body = parts(ask(server.port, "GET /RETRIEVE?file_id=caltables.tgz", "Range: bytes=2000-"))
    assert status.startswith("HTTP/1.0 200")
    assert (headers["Content-Range"], body) == ("bytes 2000-2559/2560", CONTENT[2000:])


def test_a_range_past_the_end_has_a_negative_length(server: NgasServer) -> None:
    status, headers, body = parts(ask(server.port, "GET /RETRIEVE?file_id=caltables.tgz", "Range: bytes=3000-"))
    assert status.startswith("HTTP/1.0 200")
    assert (headers["Content-Length"], body) == ("-440", b"")


@pytest.mark.parametrize(
    "request_line", ["/RETRIEVE?file_id=no", "/RETRIEVE?FILE_ID=caltables.tgz", "/STATUS?file_id=no"]
)
def test_an_unknown_file_is_400_with_a_code(server: NgasServer, request_line: str) -> None:
    status, _, body = parts(ask(server.port, f"GET {request_line}"))
    assert "400" in status
    assert b":4019:" in body


def test_commands_are_case_sensitive(server: NgasServer) -> None:
    assert b":4003:" in ask(server.port, "GET /retrieve?file_id=caltables.tgz")


@pytest.mark.parametrize(
    ("fault", "reply"), [("busy", b"HTTP/1.0 503"), ("empty_reply", b""), ("unauthorized", b"HTTP/1.0 401")]
)
def test_some_refusals_are_bare(server: NgasServer, fault: str, reply: bytes) -> None:
    server.inject(fault)
    refusal = ask(server.port, "GET /RETRIEVE?file_id=caltables.tgz")
    assert refusal.startswith(reply)
    assert b":" not in refusal
    assert ask(server.port, "GET /RETRIEVE?file_id=caltables.tgz").endswith(CONTENT)


def test_no_file_outside_the_folder_is_served(server: NgasServer) -> None:
    (server.root / "inner").mkdir()
    for name in ("../secret", "%2e%2e%2fsecret", "/etc/passwd", "inner/x", "."):
        assert b":4019:" in ask(server.port, f"GET /RETRIEVE?file_id={name}")


def test_an_unknown_fault_is_refused(server: NgasServer) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        server.inject("gremlins")


def test_it_runs_by_itself_until_it_is_told_to_stop(tmp_path: Path) -> None:
    (tmp_path / "caltables.tgz").write_bytes(CONTENT)
    module = [sys.executable, "-m", "alma_restore.demo.ngas_server"]
    told = tmp_path / "port"
    process = subprocess.Popen([*module, "--root", tmp_path, "--port", "0", "--port-file", told])
    try:
        deadline = time.monotonic() + 20
        while not told.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ask(int(told.read_text()), "GET /RETRIEVE?file_id=caltables.tgz").endswith(CONTENT)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
