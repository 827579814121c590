"""Reads gzipped tars from outside: what is damaged or hostile is refused by name, before a file is written."""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from alma_restore.archive.disk import writing
from alma_restore.errors import Corrupt

_BLOCK_BYTES = 1024 * 1024
_NAME_BYTES = 255
_REMEDY = "Nothing was unpacked. Ask the archive for the original file."


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive of calibration products never needs more of.

    Attributes:
        members: files and folders in it.
        total_bytes: its size when unpacked.
    """

    # How far it was packed tells nothing: a flag is one bit, most are like their neighbours, and honest archives of
    # final flags reach 800 to 1, where deflate can do 1032. What a bomb costs is bounded by the total.
    members: int = 200_000
    total_bytes: int = 50 * 1024**3


def check(path: Path, limits: Limits = Limits()) -> tuple[str, ...]:
    """Read an archive to its end and judge every member.

    Returns:
        The names of its files, without a leading `./`.

    Raises:
        Corrupt: not readable to its end, larger than the limits, or with a member that could harm: an absolute name,
            one that leads outside, a link, a device, a setuid file, a name that comes twice.
    """
    files: set[str] = set()
    folders: set[str] = set()
    with _opened(path, limits) as archive:
        for count, member in enumerate(archive, start=1):
            if count > limits.members:
                raise _refused(path, f"holds more than {limits.members} members")
            wrong = _harm(member)
            if wrong:
                raise _refused(path, f"holds {member.name[:200]!r}, {wrong}")
            name = str(PurePosixPath(member.name))
            parents = {str(parent) for parent in PurePosixPath(name).parents}
            if name in files or parents & files or (member.isfile() and name in folders):
                raise _refused(path, f"holds {name!r} twice")
            folders |= parents
            (files if member.isfile() else folders).add(name)
    return tuple(sorted(files))


def extract(path: Path, into: Path, limits: Limits = Limits()) -> tuple[str, ...]:
    """Unpack an archive that passes `check`; files that are there already are replaced.

    Returns:
        The names of the unpacked files, below `into`.

    Raises:
        Corrupt: as `check`; then nothing is written.
        NotAvailable: the disk is full.
        Misconfigured: the folder cannot be written.
    """
    names = check(path, limits)
    with writing(path.name, into), _opened(path, limits) as archive:
        for member in archive:
            _unpack(archive, member, into)
    return names


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    if member.isfile():  # not written over: a delivery can be hard-linked to it
        (into / member.name).unlink(missing_ok=True)
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, into, filter="data")
        return
    # Python before 3.10.12 and 3.11.4 (Debian 12) has no filters; `check` has refused what they would.
    member.mode = 0o755 if member.isdir() else 0o644
    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
    archive.extract(member, into)


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[tarfile.TarFile]:
    """The archive as a stream; behind its last member the rest is read too, for gzip's checksum."""
    try:
        with (
            _Guarded(path, limits) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|", bufsize=_BLOCK_BYTES) as archive,
        ):
            yield archive
            while archive.fileobj and (rest := archive.fileobj.read(_BLOCK_BYTES)):
                if rest.strip(b"\0"):
                    raise _refused(path, "goes on after its end")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, FileNotFoundError) as error:
        raise Corrupt(
            f"{path.name} cannot be read to its end: {error}.",
            remedy="Fetch it again; it arrived, or is kept, damaged.",
        ) from error


class _Guarded(gzip.GzipFile):
    """Stops a decompression bomb while it goes off."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path, "rb")
        self._path = path
        self._left = limits.total_bytes

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(size)
        self._left -= len(block)
        if self._left < 0:
            raise _refused(self._path, f"unpacks to far more than its {self._path.stat().st_size} bytes")
        return block


def _harm(member: tarfile.TarInfo) -> str:
    """Why a member is not wanted; empty: it is."""
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/"):
        return "an absolute name"
    if ".." in parts:
        return "which leads outside"
    if not member.name.isprintable() or any(len(part.encode()) > _NAME_BYTES for part in parts):
        return "which is no usable name"
    if member.issym() or member.islnk():
        return "a link"
    if not member.isfile() and not member.isdir():
        return "which is neither file nor folder"
    if member.issparse():
        return "a file with holes"
    if member.mode & stat.S_ISUID or (member.isfile() and member.mode & stat.S_ISGID):
        return "a setuid or setgid file"
    return ""


def _refused(path: Path, why: str) -> Corrupt:
    return Corrupt(f"{path.name} {why}.", remedy=_REMEDY)
