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

NGAS_FAULTS = [fault for fault in ALL if fault not in ("stalled", "trickle")]
"""Those that show at once; silence is tested elsewhere (tests/faults)."""

EXPORTER = Path(__file__).with_name("faulty_exporter.py")


class FaultyNgas(NgasServer):
    """A node that answers one request in a hundred with a fault of its own choice."""

    def next_fault(self, command: str, file_id: str) -> tuple[str, int]:
        return (random.choice(NGAS_FAULTS), 100) if random.random() < RATE else ("", 0)


class FaultyProxy:
    """Passes connections on to a server of this machine, and resets one in a hundred, at once or after some bytes.

    Args:
        to: the server's port.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.cut = 0

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
        faulty = random.random() < RATE
        self.cut += faulty
        with closing(client), suppress(OSError), socket.create_connection(("127.0.0.1", self._to)) as server:
            back = threading.Thread(target=_pass_on, args=(server, client, None), daemon=True)
            back.start()
            _pass_on(client, server, random.randrange(4000) if faulty else None)
            if faulty:
                for end in (client, server):  # closing it now resets it
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.shutdown(socket.SHUT_RDWR)
            else:
                back.join()


def _pass_on(source: socket.socket, target: socket.socket, at_most: int | None) -> None:
    """Until the source ends or, given a number, that many bytes have passed."""
    with suppress(OSError):
        while at_most is None or at_most > 0:
            content = source.recv(65536)
            if not content:
                break
            target.sendall(content)
            at_most = None if at_most is None else at_most - len(content)
        if at_most is None:
            target.shutdown(socket.SHUT_WR)
