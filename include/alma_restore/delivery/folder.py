"""Delivery to a folder: all of it appears at once, verified, or nothing does."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from alma_restore.delivery import sources
from alma_restore.delivery.checksums import SUMS, read_sums, sha256, side_by_side, sums_text
from alma_restore.delivery.sources import Source, Tar
from alma_restore.errors import DeliveryFailed

_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was handed over.

    Attributes:
        path: of the delivery's own folder; a URL when it is not on this machine.
        sha256: of SHA256SUMS, which names every other file.
    """

    path: str
    size_bytes: int
    files: int
    sha256: str


def deliver(files: Mapping[str, Source], root: Path, name: str) -> Delivered:
    """Make `root/name` hold exactly these files and their SHA256SUMS; what does so already is left as it is.

    The folder is built under a hidden name beside its place: hard links where that is the same filesystem, copies that
    are read back otherwise, and for tar archives. Then it is renamed. The sources stay as they are. Files that others
    have put into an earlier delivery are carried over.

    Args:
        files: the sources by their name in the delivery.

    Raises:
        DeliveryFailed: the disk is full, the folder cannot be written, or a copy reads back otherwise than written.
    """
    final = root / name
    with _telling(final):
        root.mkdir(parents=True, exist_ok=True)
        with alone(final):
            _settle(final)
            if not _holds(final, files):
                part = beside(final, "part")
                remove(part)
                try:
                    _build(part, files)
                    _put_in_place(part, final)
                finally:
                    remove(part)
        size_bytes = sum((final / file).stat().st_size for file in (*files, SUMS))
        return Delivered(str(final), size_bytes, len(files) + 1, sha256(final / SUMS))


def clear_up(root: Path, name: str, *, is_known: bool) -> None:
    """Leave of a delivery that was killed in the middle, and is not tried again, what stood there before it.

    Args:
        is_known: whether a delivery of this name is on record; else what lies there was finished and told nobody.

    Raises:
        DeliveryFailed: the folder cannot be written.
    """
    final = root / name
    with _telling(final):
        if root.is_dir():
            with alone(final):
                _settle(final)
                remove(beside(final, "part"))
                if not is_known:
                    remove(final)


def beside(final: Path, word: str) -> Path:
    """The hidden name beside a delivery for something unfinished."""
    return final.with_name(f".{final.name}.{word}")


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there; what a link points to stays."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@contextmanager
def alone(final: Path) -> Iterator[None]:
    """Keep every other process from delivering or removing this delivery."""
    lock = beside(final, "lock")
    while True:
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not lock.exists() or not os.path.samestat(os.fstat(held.fileno()), lock.stat()):
                continue  # its last holder removed it while we waited
            try:
                yield
            finally:
                lock.unlink()
            return


def _holds(final: Path, files: Mapping[str, Source]) -> bool:
    """Whether the delivery is there, whole, and of what the sources hold now."""
    sums = _listed(final)
    if sums is None or sums.keys() != files.keys():
        return False
    return all(side_by_side(lambda name: _same(final / name, files[name], sums[name]), files))


def _same(delivered: Path, source: Source, digest: str) -> bool:
    if not delivered.is_file() or sha256(delivered) != digest:
        return False
    return (isinstance(source, Path) and delivered.samefile(source)) or sources.sha256(source) == digest


def _listed(folder: Path) -> dict[str, str] | None:
    try:
        return read_sums((folder / SUMS).read_text())
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None


def _build(part: Path, files: Mapping[str, Source]) -> None:
    part.mkdir()
    folders = {part / parent for name in files for parent in PurePath(name).parents}
    for folder in sorted(folders):
        folder.mkdir(exist_ok=True)
    digests = side_by_side(lambda name: _place(files[name], part / name), files)
    with (part / SUMS).open("w") as sums:
        sums.write(sums_text(dict(zip(files, digests, strict=True))))
        sums.flush()
        os.fsync(sums.fileno())
    for folder in folders:
        _sync(folder)


def _place(source: Source, target: Path) -> str:
    """Link or copy one file, durably; its checksum."""
    if isinstance(source, Tar):
        return _copy(source, target)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        return _copy(source, target)
    _sync(target)
    return sha256(target)


def _copy(source: Source, target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("xb") as writing:
        for chunk in sources.read(source):
            digest.update(chunk)
            writing.write(chunk)
        writing.flush()
        os.fsync(writing.fileno())
        os.posix_fadvise(writing.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # so that the disk is read, not the cache
    if isinstance(source, Path):
        shutil.copystat(source, target)
    if sha256(target) != digest.hexdigest():
        raise DeliveryFailed(
            f"{target.name} reads back from {target.parent} otherwise than it was written.",
            remedy="Its disk is failing, or something else writes there; have it looked at, then retry.",
        )
    return digest.hexdigest()


def _put_in_place(part: Path, final: Path) -> None:
    if os.path.lexists(final):
        final.rename(beside(final, "old"))
    part.rename(final)
    _sync(final.parent)
    _settle(final)


def _settle(final: Path) -> None:
    """Finish what a crash may have cut short: bring the old delivery back, or carry over what is not ours of it."""
    old, trash = beside(final, "old"), beside(final, "trash")
    remove(trash)
    if not os.path.lexists(old):
        return
    if not os.path.lexists(final):
        old.rename(final)
        return
    if not old.is_symlink():
        ours = {SUMS, *(_listed(old) or {})}
        for path in [path for path in old.rglob("*") if not path.is_dir() or path.is_symlink()]:
            name = path.relative_to(old)
            if str(name) not in ours and not os.path.lexists(final / name):
                (final / name).parent.mkdir(parents=True, exist_ok=True)
                path.rename(final / name)
    old.rename(trash)  # what is left of it is ours: cut short, its removal must not leave it to be carried over
    remove(trash)


def _sync(path: Path) -> None:
    """Make sure that a file's or folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _telling(final: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sentence, remedy = f"The disk of {final.parent} is full.", "Make room there, then retry the delivery."
        else:
            sentence, remedy = f"{final} cannot be delivered: {error}.", "Mend the folder, then retry the delivery."
        raise DeliveryFailed(sentence, remedy=f"{remedy} The restored data are kept in the workspace.") from error
