"""One request to one NGAS node, over the HTTP that NGAS speaks (DOMAIN section 5)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from alma_restore.errors import NotAvailable

_MESSAGE_BYTES = 1024 * 1024
_TRICKLE_BYTES = 16 * 1024
_LONGEST_NUMBER = 30


class Address(NamedTuple):
    """Where one NGAS node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Silence allowed before and during a reply, in seconds."""

    connect_s: float
    read_s: float


class Reply:
    """What a node answers: the status line and headers are here, the body comes piece by piece.

    Attributes:
        sender: the node that answers.
        file_id: the file it was asked about.
        status: the HTTP status.
    """

    def __init__(self, sender: Address, file_id: str, response: HTTPResponse, timeout_s: float) -> None:
        self.sender = sender
        self.file_id = file_id
        self.status = response.status
        self._response = response
        self._timeout_s = timeout_s
        self._since = time.monotonic()
        self._received = 0

    @property
    def length(self) -> int | None:
        """What Content-Length says; None where it is missing or no number."""
        return _number(self._response.getheader("Content-Length", ""))

    @property
    def first_byte(self) -> int | None:
        """Where Content-Range says the body begins; None without one: NGAS answers a Range with 200, never 206."""
        unit, _, rest = self._response.getheader("Content-Range", "").strip().partition(" ")
        return _number(rest.partition("-")[0]) if unit == "bytes" else None

    @property
    def redirect(self) -> Address | None:
        """The node that a 303 names; None where it names none."""
        try:
            target = urlsplit(self._response.getheader("Location", ""))
            return Address(target.hostname, target.port or 80) if target.scheme == "http" and target.hostname else None
        except ValueError:
            return None

    def read_into(self, buffer: memoryview) -> int:
        """The next bytes of the body, as many as there are now; 0 at its end, however it ended: count.

        Raises:
            NotAvailable: the connection broke, fell silent, or trickles.
        """
        try:
            count = self._response.fp.readinto1(buffer)
        except (OSError, HTTPException) as error:
            raise NotAvailable(f"NGAS {self.sender} stopped sending {self.file_id}: {_words(error)}.") from error
        self._received += count
        now = time.monotonic()
        if now - self._since > self._timeout_s:
            if self._received < _TRICKLE_BYTES and count:
                slowly = f"{self._received} bytes in {self._timeout_s:g} s"
                raise NotAvailable(f"NGAS {self.sender} sends {self.file_id} too slowly: {slowly}.")
            self._since, self._received = now, 0
        return count

    def message(self) -> bytes:
        """The body of a reply that is no file.

        Raises:
            NotAvailable: the connection ended before it was all here.
        """
        wanted = _MESSAGE_BYTES if self.length is None else min(self.length, _MESSAGE_BYTES)
        buffer = memoryview(bytearray(wanted))
        filled = 0
        while filled < wanted and (count := self.read_into(buffer[filled:])):
            filled += count
        if self.length is not None and filled < wanted:
            raise NotAvailable(f"NGAS {self.sender} stopped in the middle of its answer about {self.file_id}.")
        return buffer[:filled].tobytes()


@contextmanager
def get(node: Address, command: str, file_id: str, headers: Mapping[str, str], timeouts: Timeouts) -> Iterator[Reply]:
    """Ask a node one thing.

    Raises:
        NotAvailable: no connection, or no reply.
    """
    connection = HTTPConnection(node.host, node.port, timeout=timeouts.connect_s)
    with closing(connection):
        try:
            connection.connect()
            connection.sock.settimeout(timeouts.read_s)
            path = f"/{command}?{urlencode({'file_id': file_id})}"
            connection.request("GET", path, headers={"Connection": "close", "Accept-Encoding": "identity", **headers})
            response = connection.getresponse()
        except (OSError, HTTPException) as error:
            raise NotAvailable(
                f"NGAS {node} does not answer {command} of {file_id}: {_words(error)}.",
                remedy="Try again later; if it stays so, ask who runs NGAS.",
            ) from error
        with closing(response):
            yield Reply(node, file_id, response, timeouts.read_s)


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdecimal() and len(text) <= _LONGEST_NUMBER else None


def _words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
