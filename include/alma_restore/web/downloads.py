"""Downloads of delivered sets: single files, folders as tar, never anything outside the delivery."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from alma_restore.catalogue.records import DeliveryRecord
from alma_restore.delivery.sources import Tar
from alma_restore.errors import Refused
from alma_restore.settings import Settings


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


def tar_of(folder: Path, name: str) -> Tar:
    """A folder as a tar archive, under a name in it; links are left out."""
    return Tar({name: folder, **dict(_below(folder, name))})


def _below(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Every file and folder below a folder, with its name in the archive; none of them is asked what it is."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path, name_of_it = folder / entry.name, f"{name}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield name_of_it, path
                yield from _below(path, name_of_it)
            elif entry.is_file(follow_symlinks=False):
                yield name_of_it, path


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
