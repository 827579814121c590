"""What goes wrong with a real NGAS, as functions the stand-in node can be told to use (DOMAIN section 5)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

REFUSALS = {
    "unknown_file": (400, "NGAMS_ER_UNAVAIL_FILE:4019", "File with ID appears not to be available."),
    "offline": (400, "NGAMS_ER_IMPROPER_STATE:4015", "RETRIEVE not allowed when in State/Sub-State: OFFLINE/IDLE."),
    "busy": (503, "", "no free slot: a bare reply without headers"),
    "unauthorized": (401, "", "without a challenge"),
    "forbidden": (403, "", "no access"),
    "empty_reply": (None, "", "the file is missing on disk"),
    "redirect_loop": (303, "", "to itself"),
    "redirect_nowhere": (303, "", "without a location"),
}
"""Faults instead of the file: status (None: no reply at all), NGAS's own code, and what it means."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is left to send of a file when its fault shows.

    Attributes:
        connection: where it goes.
        stream: the file.
        start, length: the bytes of it that are left.
        stopping: set when the node shuts down.
    """

    connection: socket.socket
    stream: BinaryIO
    start: int
    length: int
    stopping: threading.Event

    def send(self) -> None:
        if self.length > 0:
            self.connection.sendfile(self.stream, self.start, self.length)


def _corrupted(body: Body) -> None:
    """200 with one wrong byte."""
    body.stream.seek(body.start)
    first = body.stream.read(1)
    body.connection.sendall(bytes(byte ^ 0x40 for byte in first))
    Body(body.connection, body.stream, body.start + 1, body.length - 1, body.stopping).send()


def _cut(body: Body) -> None:
    """The connection ends in the middle of the body."""


def _reset(body: Body) -> None:
    """The connection is reset in the middle of the body."""
    body.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _stalled(body: Body) -> None:
    """Silence in the middle of the body."""
    body.stopping.wait(60.0)


def _trickle(body: Body) -> None:
    """One byte at a time, never silent for long."""
    body.stream.seek(body.start)
    while not body.stopping.wait(0.05) and (byte := body.stream.read(1)):
        body.connection.sendall(byte)


def _too_long(body: Body) -> None:
    """One byte more than the database says."""
    body.send()
    body.connection.sendall(b"!")


BODIES: dict[str, Callable[[Body], None]] = {
    "corrupted": _corrupted,
    "truncated": Body.send,
    "cut": _cut,
    "reset": _reset,
    "stalled": _stalled,
    "trickle": _trickle,
    "too_long": _too_long,
    "range_ignored": Body.send,
}
"""Faults in the body of the file; the length that `truncated` and `too_long` announce is wrong too."""

ALL = (*REFUSALS, *BODIES, "garbled_status")
