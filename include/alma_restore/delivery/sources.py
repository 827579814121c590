"""What the bytes of a delivered file are read from: a file of the workspace, or several of them as a tar archive."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from alma_restore.delivery import checksums

_CHUNK = 1 << 20
_END_OF_TAR = b"\0" * 2 * tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Tar:
    """A tar archive that is nowhere written before it arrives: its bytes are told from its members, from any place on.

    The same members give the same bytes: ordered by name, owned by nobody, each with its own time. Nothing is
    compressed, because visibilities hardly can be.

    Attributes:
        members: files and folders by their names in the archive; a folder stands for itself, not for what is in it.
    """

    members: Mapping[str, Path]

    @property
    def size_bytes(self) -> int:
        return sum(len(header) + _padded(size) for header, size, _ in self._parts()) + len(_END_OF_TAR)

    def read(self, start: int = 0) -> Iterator[bytes]:
        """The archive's bytes from a place on.

        Raises:
            OSError: a file has vanished or become shorter meanwhile.
        """
        skip = start
        for header, size, path in self._parts():
            if skip < len(header):
                yield header[skip:]
            skip = max(skip - len(header), 0)
            if skip < size:
                yield from _content(path, skip, size)
            if max(skip, size) < _padded(size):
                yield b"\0" * (_padded(size) - max(skip, size))
            skip = max(skip - _padded(size), 0)
        yield _END_OF_TAR[skip:]

    def _parts(self) -> Iterator[tuple[bytes, int, Path]]:
        """Each member's header, how much of its file follows, and the file."""
        for name, path in sorted(self.members.items()):
            status = path.stat()
            member = tarfile.TarInfo(name)
            member.mtime = int(status.st_mtime)
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            else:
                member.size, member.mode = status.st_size, 0o644
            yield member.tobuf(tarfile.PAX_FORMAT), member.size, path


Source = Path | Tar


def size_bytes(source: Source) -> int:
    return source.stat().st_size if isinstance(source, Path) else source.size_bytes


def read(source: Source, start: int = 0) -> Iterator[bytes]:
    """The bytes from a place on."""
    return _content(source, start, size_bytes(source)) if isinstance(source, Path) else source.read(start)


def sha256(source: Source) -> str:
    if isinstance(source, Path):
        return checksums.sha256(source)
    digest = hashlib.sha256()
    for chunk in source.read():
        digest.update(chunk)
    return digest.hexdigest()


def _content(path: Path, start: int, end: int) -> Iterator[bytes]:
    """What lies between two places of a file, which has to reach as far."""
    with path.open("rb") as file:
        at = file.seek(start)
        while at < end:
            chunk = file.read(min(_CHUNK, end - at))
            if not chunk:
                raise OSError(f"{path} became shorter while it was read.")
            at += len(chunk)
            yield chunk


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
