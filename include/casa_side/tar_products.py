"""Unpack the calibration products that come as tar files."""

from __future__ import annotations

import errno
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from signs import RestoreFailed, corrupt

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def unpack(archive: Path, into: Path) -> None:
    """Unpack folders and plain files, which all must land below `into` and replace nothing there.

    Raises:
        RestoreFailed: the file is truncated, or no tar file; it holds links, absolute paths or `..`; the disk is full.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            for member in _harmless(tar, archive.name):
                tar.extract(member, into)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        kind = "casa_failed" if getattr(error, "errno", None) in _DISK_FULL else "corrupt"
        raise RestoreFailed(kind, archive.name, f"{archive.name} cannot be unpacked: {error}.") from error


def _harmless(tar: tarfile.TarFile, name: str) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(member.name)
        if not (member.isreg() or member.isdir()) or path.is_absolute() or ".." in path.parts:
            raise corrupt(name, f"{name} holds {member.name!r}, which no calibration product has.")
        yield member
