"""Locks between all processes of this machine. The kernel gives one back when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
import random
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alma_restore.errors import Misconfigured

_POLL_S = 0.1


@contextmanager
def slot(folder: Path, name: str, count: int) -> Iterator[None]:
    """Hold one of `count` slots called `name`; wait until one is free.

    Args:
        folder: where the lock files are; the same for all processes that share the limit, on a local disk.
        name: what is limited, such as a node's address.

    Raises:
        Misconfigured: the folder cannot be written.
    """
    held = _acquire(folder, re.sub(r"[^\w.-]", "_", name), count)
    try:
        yield
    finally:
        os.close(held)


def hold_alone(descriptor: int, path: Path) -> bool:
    """Lock an open file or folder until it is closed.

    Returns:
        False when another process holds it, or has moved it away meanwhile.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _acquire(folder: Path, name: str, count: int) -> int:
    places = [folder / f"{name}.{number}.lock" for number in range(count)]
    random.shuffle(places)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            for place in places:
                descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if hold_alone(descriptor, place):
                    return descriptor
                os.close(descriptor)
            time.sleep(_POLL_S)
    except OSError as error:
        raise Misconfigured(
            f"The lock folder {folder} cannot be used: {error}.", remedy="Give it to the user that runs Airflow."
        ) from error
