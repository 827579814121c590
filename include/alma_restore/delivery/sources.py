"""What the bytes of a delivered file are read from: a file of the workspace, or several of them as a tar archive."""

from __future__ import annotations

import hashlib
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from alma_restore.delivery import checksums

_CHUNK = 1 << 19
_END_OF_NUMBERS = 8**11
_END_OF_TAR = b"\0" * 2 * tarfile.BLOCKSIZE


class _Member(NamedTuple):
    """A file or folder as it was found; a folder has no content."""

    name: str
    path: Path
    size_bytes: int
    modified_s: int
    is_folder: bool

    @property
    def header(self) -> bytes:
        told = tarfile.TarInfo(self.name)
        told.size, told.mtime = self.size_bytes, self.modified_s
        told.type, told.mode = (tarfile.DIRTYPE, 0o755) if self.is_folder else (tarfile.REGTYPE, 0o644)
        return told.tobuf(tarfile.PAX_FORMAT)

    @property
    def header_bytes(self) -> int:
        """A header is one block where all fits into its fields; only then is that known without making it."""
        fits = self.name.isascii() and len(self.name) < tarfile.LENGTH_NAME
        fits &= 0 <= self.size_bytes < _END_OF_NUMBERS and 0 <= self.modified_s < _END_OF_NUMBERS
        return tarfile.BLOCKSIZE if fits else len(self.header)


@dataclass(frozen=True)
class Tar:
    """A tar archive that is nowhere written before it arrives: its bytes are told from its members, from any place on.

    The same members give the same bytes: ordered by name, owned by nobody, each with its own time. Nothing is
    compressed, because visibilities hardly can be. The members are looked at once, when they are first asked for.

    Attributes:
        members: files and folders by their names in the archive; a folder stands for itself, not for what is in it.
    """

    members: Mapping[str, Path]

    @cached_property
    def size_bytes(self) -> int:
        return sum(each.header_bytes + _padded(each.size_bytes) for each in self._found) + len(_END_OF_TAR)

    def read(self, start: int = 0) -> Iterator[bytes]:
        """The archive's bytes from a place on; what small files give is gathered.

        Raises:
            OSError: a file has vanished or changed its size meanwhile.
        """
        gathered: list[bytes] = []
        waiting = 0
        for piece in self._pieces(start):
            gathered.append(piece)
            waiting += len(piece)
            if waiting >= _CHUNK:
                yield b"".join(gathered)
                gathered, waiting = [], 0
        yield b"".join(gathered)

    def _pieces(self, start: int) -> Iterator[bytes]:
        skip = start
        for member in self._found:
            header, size = member.header, member.size_bytes
            if skip < len(header):
                yield header[skip:]
            skip = max(skip - len(header), 0)
            if skip < size:
                yield from _content(member.path, skip, size)
            if max(skip, size) < _padded(size):
                yield b"\0" * (_padded(size) - max(skip, size))
            skip = max(skip - _padded(size), 0)
        yield _END_OF_TAR[skip:]

    @cached_property
    def _found(self) -> tuple[_Member, ...]:
        """The members in their order."""
        found = []
        for name, path in sorted(self.members.items()):
            status = path.stat()
            is_folder = stat.S_ISDIR(status.st_mode)
            found.append(_Member(name, path, 0 if is_folder else status.st_size, int(status.st_mtime), is_folder))
        return tuple(found)


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
        if file.read(1):
            raise OSError(f"{path} became longer while it was read.")


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
