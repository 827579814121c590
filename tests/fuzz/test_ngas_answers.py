"""Whatever an NGAS node answers, in whatever HTTP: the right file arrives, or an error of ours is raised."""

from __future__ import annotations

import socket
import threading
import zlib

import pytest
from damage import damaged, fuzz, read_or_told
from hypothesis import example, given
from hypothesis import strategies as st

from alma_restore.archive.ngas import NgasClient, NgasNode
from alma_restore.archive.records import ProductFile
from alma_restore.settings import NgasSettings

CONTENT = b"calibration tables"
STATUS = (
    '<?xml version="1.0"?><!DOCTYPE NgamsStatus SYSTEM "http://x/ngamsStatus.dtd"><NgamsStatus><DiskStatus>'
    f'<FileStatus FileId="a.tgz" FileVersion="1" FileSize="{len(CONTENT)}" ChecksumPlugIn="ngamsGenCrc32" '
    f'Checksum="{zlib.crc32(CONTENT)}"/></DiskStatus></NgamsStatus>'
).encode()


def reply(body):
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Node:
    """Listens on a socket and answers each command with the bytes it was given, as they are."""

    def __init__(self):
        self.answers = {}
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                asked = connection.recv(4096)
                command = "STATUS" if asked.startswith(b"GET /STATUS") else "RETRIEVE"
                try:
                    connection.sendall(self.answers[command])
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)  # until the other side has read and closed
                except OSError:
                    continue

    def close(self):
        self._socket.close()


@pytest.fixture(scope="module")
def node():
    node = Node()
    yield node
    node.close()


@pytest.fixture(scope="module")
def fetch(node, tmp_path_factory):
    """Fetch a file once, with these answers; what arrived."""
    into, locks = tmp_path_factory.mktemp("into"), tmp_path_factory.mktemp("locks")
    settings = NgasSettings(tries=1, retry_wait_s=0, connect_timeout_s=10, read_timeout_s=10)
    client = NgasClient([NgasNode("127.0.0.1", node.port)], settings, locks)

    def fetch(status, retrieve):
        node.answers = {"STATUS": status, "RETRIEVE": retrieve}
        arrived = read_or_told(lambda: client.fetch(ProductFile("a.tgz", "calibration", None), into).read_bytes())
        for left in into.iterdir():
            left.unlink()
        return arrived

    return fetch


def test_the_right_answers_bring_the_file(fetch):
    assert fetch(reply(STATUS), reply(CONTENT)) == CONTENT


@fuzz
@given(damaged(STATUS).map(reply) | damaged(reply(STATUS)))
@example(reply(STATUS.replace(b'FileSize="18"', b'FileSize="' + b"9" * 5000 + b'"')))
@example(reply(STATUS.replace(b'FileSize="18"', b'FileSize="-1"')))
@example(reply(STATUS.replace(b'FileSize="18"', b'FileSize="99999999999999999999"')))
@example(reply(STATUS.replace(b'FileVersion="1"', b'FileVersion="' + b"9" * 5000 + b'"')))
@example(b"HTTP/1.0 303 See Other\r\nLocation: http://[::1/\r\n\r\n")
@example(b"HTTP/1.0 303 See Other\r\nLocation: http://x:99999/\r\n\r\n")
@example(b"HTTP/1.0 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n")
@example(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
def test_status(fetch, status):
    assert fetch(status, reply(CONTENT)) in (None, CONTENT, b"")


@fuzz
@given(damaged(CONTENT).map(reply) | damaged(reply(CONTENT)) | st.binary(max_size=200))
@example(b"HTTP/1.0 200 OK\r\nContent-Range: bytes " + b"9" * 5000 + b"-\r\n\r\n")
@example(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n" + CONTENT + b"\r\n0\r\n\r\n")
@example(b"HTTP/1.0 401 " + b"x" * 70000)
def test_retrieve(fetch, content):
    assert fetch(reply(STATUS), content) in (None, CONTENT)
