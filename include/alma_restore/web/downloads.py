"""Downloads of delivered sets: single files, folders as tar, never anything outside the delivery."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alma_restore.catalogue.records import DeliveryRecord
from alma_restore.errors import Refused
from alma_restore.settings import Settings

_CHUNK = 1 << 20
_END_OF_TAR = b"\0" * 2 * tarfile.BLOCKSIZE


@dataclass(frozen=True, slots=True)
class Item:
    """A file or folder at the top of a delivery."""

    name: str
    is_folder: bool
    size_bytes: int


def delivered_folder(delivery: DeliveryRecord | None, settings: Settings) -> Path:
    """Where a delivery lies on this machine, all links followed.

    Raises:
        Refused: (code `no_download`) there is none here (any more), or it lies outside the folders of deliveries.
    """
    if delivery is None or delivery.removed_at is not None:
        raise _refusal("There is nothing to download (any more).")
    if "://" in delivery.path:
        raise _refusal(f"It was delivered to {delivery.path}; fetch it there.")
    folder = Path(delivery.path).resolve()
    roots = [root.resolve() for root in (settings.delivery_root, *settings.delivery.allowed_roots)]
    if not folder.is_dir() or not any(folder.is_relative_to(root) and folder != root for root in roots):
        raise _refusal("The delivery is not in its place.")
    return folder


def inside(folder: Path, name: str) -> Path:
    """A file or folder of a delivery, all links followed.

    Raises:
        Refused: (code `no_download`) there is none of that name, or it leads out of the delivery.
    """
    try:
        path = (folder / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        path = None
    if path is None or not path.is_relative_to(folder):
        raise _refusal(f"The delivery holds no {name[:200]!r}.")
    return path


def items(folder: Path) -> list[Item]:
    """What lies at the top of a delivery, folders first."""
    found = [
        Item(path.name, path.is_dir(), sum(file.stat().st_size for file in _files(path)))
        for path in folder.iterdir()
        if not path.is_symlink()
    ]
    return sorted(found, key=lambda item: (not item.is_folder, item.name))


@dataclass(frozen=True, slots=True)
class Tar:
    """A folder as a tar archive, made while it is sent; links are left out.

    Attributes:
        name: of the folder within the archive.
    """

    folder: Path
    name: str

    @property
    def size_bytes(self) -> int:
        """The exact length, so that a browser can tell how far it is."""
        return sum(len(header) + _padded(size) for header, size, _ in self._members()) + len(_END_OF_TAR)

    def chunks(self) -> Iterator[bytes]:
        """The archive's bytes.

        Raises:
            OSError: a file vanished or changed its size meanwhile; the download breaks off instead of ending well.
        """
        for header, size, path in self._members():
            yield header
            if path is not None:
                yield from _content(path, size)
                yield b"\0" * (_padded(size) - size)
        yield _END_OF_TAR

    def _members(self) -> Iterator[tuple[bytes, int, Path | None]]:
        for path in (self.folder, *sorted(self.folder.rglob("*"))):
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                continue
            status = path.stat()
            member = tarfile.TarInfo(str(Path(self.name, path.relative_to(self.folder))))
            member.mtime = int(status.st_mtime)
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                yield member.tobuf(tarfile.PAX_FORMAT), 0, None
            else:
                member.size, member.mode = status.st_size, 0o644
                yield member.tobuf(tarfile.PAX_FORMAT), member.size, path


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                raise OSError(f"{path} became shorter while it was sent.")
            left -= len(chunk)
            yield chunk


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return (
        Path(parent, name)
        for parent, _, names in os.walk(path)
        for name in names
        if not Path(parent, name).is_symlink()
    )


def _refusal(sentence: str) -> Refused:
    return Refused(sentence, code="no_download")
