"""The file that grows while it is fetched: `<name>.part`, renamed only when its content is right."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from alma_restore.archive.crc import Update
from alma_restore.archive.slots import hold_alone
from alma_restore.errors import NotAvailable

_BLOCK_BYTES = 1024 * 1024


class PartFile:
    """Bytes so far, with their checksum.

    Attributes:
        size: how many bytes are there.
        crc: their checksum; 0 where none is computed.
    """

    def __init__(self, stream: FileIO, final: Path, update: Update | None) -> None:
        self._stream = stream
        self._final = final
        self._update = update
        self.size = 0
        self.crc = 0

    @classmethod
    @contextmanager
    def beside(cls, final: Path, update: Update | None) -> Iterator[PartFile]:
        """Open `final`'s part file, go on where an earlier attempt stopped, and let no other process write to it.

        Raises:
            NotAvailable: another process writes to it.
        """
        part = final.with_name(final.name + ".part")
        with part.open("a+b", buffering=0) as stream:
            if not hold_alone(stream.fileno(), part):
                raise NotAvailable(f"Another process is fetching {final.name}.", remedy="Wait for it.")
            opened = cls(stream, final, update)
            opened._read()
            try:
                yield opened
            finally:
                if not opened.size:
                    part.unlink(missing_ok=True)

    def append(self, block: memoryview) -> None:
        written = 0
        while written < len(block):
            written += self._stream.write(block[written:])
        self.size += len(block)
        if self._update:
            self.crc = self._update(block, self.crc)

    def restart(self) -> None:
        """Forget what is there."""
        self._stream.truncate(0)
        self.size = self.crc = 0

    def publish(self) -> None:
        """Give it its final name, once its bytes are on the disk."""
        os.fsync(self._stream.fileno())
        Path(self._stream.name).replace(self._final)
        folder = os.open(self._final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self) -> None:
        self._stream.seek(0)
        self.size, self.crc = measure(self._stream, self._update)


def measure(stream: FileIO, update: Update | None) -> tuple[int, int]:
    """Size and checksum of what is left to read (checksum 0 without an algorithm)."""
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    size = crc = 0
    while count := stream.readinto(buffer):
        size += count
        crc = update(buffer[:count], crc) if update else 0
    return size, crc
