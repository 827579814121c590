"""A stand-in NGAS node: it behaves as DOMAIN section 5 says a real one does, and misbehaves on demand.

`python -m alma_restore.demo.ngas_server --root DIR --port N [--port-file F]` serves the files of a folder, each under
its name as file id. Tests use it in-process:

    with NgasServer(root) as server:
        server.inject("cut", times=2, after_bytes=1000)
        ... fetch from server.host, server.port ...
        server.asked                                        # what it was asked, and which fault it answered with
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
import zlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr

import google_crc32c

from alma_restore.demo.ngas_faults import ALL, BODIES, REFUSALS, Body

_SO_MAX_PACING_RATE = 47
"""Linux's socket option that the socket module of Python has no name for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came in, and the fault it met (empty: none)."""

    command: str
    file_id: str
    range: str
    authorization: str
    fault: str


@dataclass(slots=True)
class _Injected:
    fault: str
    file_id: str | None
    command: str
    skip: int
    left: float
    after_bytes: int


class NgasServer(ThreadingHTTPServer):
    """One node, serving the files of a folder.

    Args:
        root: the folder; a file's name is its file id.
        port: 0 takes a free one.
        credentials: user and password that every request must bring.
        plugin: the checksum plug-in that STATUS names for every file.
        signed: write checksums as old rows have them.
        elsewhere: `host:port` of the node that has what is not here (303); empty: 400 with code 4019.
        stream_bytes_s: what one stream gets, as over a long way; 0: all that the machine can.

    Attributes:
        asked: every request so far.
        most_streams: how many files were being sent at once, at most.
        slow_s: how long every file takes before its first byte.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        root: Path,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        credentials: tuple[str, str] | None = None,
        plugin: str = "ngamsGenCrc32",
        signed: bool = False,
        elsewhere: str = "",
        stream_bytes_s: int = 0,
    ) -> None:
        super().__init__((host, port), _Handler)
        self.root = root
        self.plugin = plugin
        self.signed = signed
        self.elsewhere = elsewhere
        self.stream_bytes_s = stream_bytes_s
        self.authorization = f"Basic {b64encode(':'.join(credentials).encode()).decode()}" if credentials else ""
        self.asked: list[Asked] = []
        self.most_streams = 0
        self.slow_s = 0.0
        self.stopping = threading.Event()
        self._streams = 0
        self._injected: list[_Injected] = []
        self._lock = threading.Lock()

    @property
    def host(self) -> str:
        return str(self.server_address[0])

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def inject(
        self,
        fault: str,
        file_id: str | None = None,
        *,
        times: int | None = 1,
        when: str = "",
        skip: int = 0,
        after_bytes: int = 0,
    ) -> None:
        """Make the next requests fail, then work again.

        Args:
            fault: one of `ngas_faults.ALL`.
            file_id: only requests for this file; None: any.
            times: how many requests; None: all from then on.
            when: the command that meets it; empty: STATUS for a garbled STATUS, else RETRIEVE.
            skip: how many such requests are answered well before.
            after_bytes: for a fault in the body: how much of the file arrives before it shows.
        """
        if fault not in ALL:
            raise ValueError(f"no such fault: {fault}")
        command = when or ("STATUS" if fault == "garbled_status" else "RETRIEVE")
        left = float("inf") if times is None else times
        self._injected.append(_Injected(fault, file_id, command, skip, left, after_bytes))

    def next_fault(self, command: str, file_id: str) -> tuple[str, int]:
        """The fault that this request meets, used up by it."""
        with self._lock:
            for injected in self._injected:
                if injected.left <= 0 or injected.command != command or injected.file_id not in (None, file_id):
                    continue
                if injected.skip:
                    injected.skip -= 1
                    continue
                injected.left -= 1
                return injected.fault, injected.after_bytes
        return "", 0

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Counts one transfer among those under way."""
        with self._lock:
            self._streams += 1
            self.most_streams = max(self.most_streams, self._streams)
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to tell of."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def __enter__(self) -> NgasServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: NgasServer
    protocol_version = "HTTP/1.0"
    server_version = "NGAMS/stand-in"

    def do_HEAD(self) -> None:
        """A real NGAS gives no answer at all."""

    def do_GET(self) -> None:
        """Commands and parameters are case-sensitive."""
        url = urlsplit(self.path)
        command = url.path.strip("/")
        file_id = parse_qs(url.query).get("file_id", [""])[0]
        fault, after_bytes = self.server.next_fault(command, file_id)
        authorization = self.headers.get("Authorization", "")
        self.server.asked.append(Asked(command, file_id, self.headers.get("Range", ""), authorization, fault))
        path = self.server.root / file_id
        if self.server.authorization and authorization != self.server.authorization:
            self._refuse("unauthorized")
        elif fault in REFUSALS:
            self._refuse(fault)
        elif command not in ("STATUS", "RETRIEVE"):
            self._xml(400, _outcome("FAILURE", f"NGAMS_ER_ILL_CMD:4003:ERROR: Illegal command: {command}"))
        elif not file_id or "/" in file_id or not path.is_file():
            self._refuse("unknown_file", self.server.elsewhere)
        elif command == "STATUS":
            self._status(path, fault)
        else:
            self._retrieve(path, fault, after_bytes)

    def log_message(self, *_: object) -> None:
        """What was asked is in `server.asked`."""

    def _refuse(self, fault: str, elsewhere: str = "") -> None:
        status, code, words = REFUSALS[fault]
        if fault == "redirect_loop":
            elsewhere = self.server.address
        if elsewhere or status == 303:
            self.send_response(303)
            if elsewhere:
                self.send_header("Location", f"http://{elsewhere}{self.path}")
            self.end_headers()
        elif code:
            self._xml(400, _outcome("FAILURE", f"{code}:ERROR: {words}"))
        elif status:
            self.wfile.write(f"HTTP/1.0 {status} Refused\r\n\r\n".encode())

    def _status(self, path: Path, fault: str) -> None:
        plugin = self.server.plugin
        file = (
            f'<FileStatus FileId={quoteattr(path.name)} FileVersion="1" FileSize="{path.stat().st_size}"'
            f' Checksum="{self._checksum(path)}" ChecksumPlugIn="{plugin}" FileStatus="00000000"/>'
        )
        if fault == "garbled_status":
            file = file[:-20]
        self._xml(200, f'{_outcome("SUCCESS", "STATUS")}<DiskStatus DiskId="stand-in">{file}</DiskStatus>')

    def _checksum(self, path: Path) -> str:
        if self.server.plugin == "None":
            return "None"
        value = _checksum(path, self.server.plugin, path.stat().st_mtime_ns)
        return str(value - 2**32 if self.server.signed and value >= 2**31 else value)

    def _xml(self, status: int, content: str) -> None:
        dtd = f"http://{self.server.address}/RETRIEVE?internal=ngamsStatus.dtd"
        head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE NgamsStatus SYSTEM "{dtd}">\n'
        document = f"{head}<NgamsStatus>{content}</NgamsStatus>\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    def _retrieve(self, path: Path, fault: str, after_bytes: int) -> None:
        """A Range is answered with 200; one past the end with a negative Content-Length."""
        size = path.stat().st_size
        start = 0 if fault == "range_ignored" else self._first_byte()
        length = size - start
        if fault == "truncated":
            length = max(after_bytes - start, length // 2)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", f'attachment; filename="not-{path.name}"')
        self.send_header("Content-Length", str(length + (fault == "too_long")))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if self.server.stream_bytes_s:
            self.connection.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, self.server.stream_bytes_s)
        before = min(max(after_bytes - start, 0), length) if fault in BODIES else 0
        with self.server.streaming(), path.open("rb") as stream:
            self.server.stopping.wait(self.server.slow_s)
            Body(self.connection, stream, start, before, self.server.stopping).send()
            rest = Body(self.connection, stream, start + before, length - before, self.server.stopping)
            BODIES.get(fault, Body.send)(rest)

    def _first_byte(self) -> int:
        """Only `bytes=N-` is understood."""
        unit, _, first = self.headers.get("Range", "").partition("=")
        return int(first[:-1]) if unit == "bytes" and first.endswith("-") and first[:-1].isdecimal() else 0


def _outcome(status: str, message: str) -> str:
    return f"<Status Status={quoteattr(status)} Message={quoteattr(message)}/>"


@lru_cache(maxsize=4096)
def _checksum(path: Path, plugin: str, _changed: int) -> int:
    """Computed once for each state of a file."""
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(1024 * 1024):
            value = google_crc32c.extend(value, block) if plugin == "crc32c" else zlib.crc32(block, value)
    return value


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = argparse.ArgumentParser(description="A stand-in NGAS node that serves the files of a folder.")
    arguments.add_argument("--root", type=Path, required=True, help="the folder with the files")
    arguments.add_argument("--host", default="127.0.0.1", help="the address to listen at")
    arguments.add_argument("--port", type=int, default=7777, help="0 takes a free one")
    arguments.add_argument("--port-file", type=Path, help="where to write the port once it listens")
    arguments.add_argument("--stream-bytes-s", type=int, default=0, help="what one stream gets; 0: all there is")
    given = arguments.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with NgasServer(given.root, given.port, host=given.host, stream_bytes_s=given.stream_bytes_s) as server:
        if given.port_file:
            part = given.port_file.with_name(given.port_file.name + ".part")
            part.write_text(f"{server.port}\n")
            part.replace(given.port_file)
        stop.wait()


if __name__ == "__main__":
    main()
