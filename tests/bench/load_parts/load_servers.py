"""Servers and connections of a soak, of which one in a hundred uses goes wrong."""

from __future__ import annotations

import random
import socket
import struct
import threading
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

from alma_restore.demo.ngas_faults import ALL
from alma_restore.demo.ngas_server import NgasServer

RATE = 0.01

_FIRST_CUT = 20
"""Among so many connections of each peer is the first one that breaks."""

NGAS_FAULTS = [fault for fault in ALL if fault not in ("stalled", "trickle")]
"""Those that show at once; silence is tested elsewhere (tests/faults)."""

EXPORTER = Path(__file__).with_name("faulty_exporter.py")


class FaultyNgas(NgasServer):
    """A node that answers one request in a hundred with a fault of its own choice."""

    def next_fault(self, command: str, file_id: str) -> tuple[str, int]:
        return (random.choice(NGAS_FAULTS), 100) if random.random() < RATE else ("", 0)


class FaultyProxy:
    """Passes connections on to a server of this machine, and resets some of them, at once or after some bytes.

    Args:
        to: the server's port.
        within: a connection that is to break does so before it has sent as many bytes.

    Attributes:
        rate: how many connections are to break, of one.
        passed, cut: how many there were, and how many of them broke.
    """

    def __init__(self, to: int, within: int = 4000) -> None:
        self._to, self._within = to, within
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.rate = 0.0
        self.passed = self.cut = 0
        self._due = random.randrange(_FIRST_CUT)
        self._breaking = False
        self._lock = threading.Lock()

    def __enter__(self) -> FaultyProxy:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        breaks = self._is_to_break()
        try:
            self._pass_both_ways(client, random.randrange(self._within) if breaks else None)
        finally:
            if breaks:
                self._breaking = False

    def _is_to_break(self) -> bool:
        """One at a time, once it is due: the first one soon, that no peer is spared by chance in a short soak."""
        with self._lock:
            self.passed += 1
            breaks = bool(self.rate) and not self._breaking and self.passed > self._due
            self._breaking = self._breaking or breaks
            return breaks

    def _pass_both_ways(self, client: socket.socket, breaks_after: int | None) -> None:
        with closing(client), suppress(OSError), socket.create_connection(("127.0.0.1", self._to)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            # What has not broken by the time that nothing is to break any more holds to its end.
            if _pass_on(client, server, breaks_after) and (self.rate or _pass_on(client, server)):
                self.cut += 1
                self._due = self.passed + random.randrange(round(2 / RATE))
                for end in (client, server):
                    _reset(end)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket, at_most: int | None = None) -> bool:
    """Until the source ends, which the target is told, or, given a number, that many bytes have passed: then True."""
    with suppress(OSError):  # of an end that was killed, too: its server must not wait for it with locks held
        while at_most is None or at_most > 0:
            content = source.recv(65536)
            if not content:
                break
            target.sendall(content)
            at_most = None if at_most is None else at_most - len(content)
        else:
            return True
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
    return False


def _reset(end: socket.socket) -> None:
    """Wake whoever reads from it, and have its closing reset the connection."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
