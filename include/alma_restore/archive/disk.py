"""What the disk refuses, told in our own errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alma_restore.errors import Misconfigured, NotAvailable


@contextmanager
def writing(name: str, folder: Path) -> Iterator[None]:
    """Around everything that writes a file of this name into this folder.

    Raises:
        NotAvailable: the disk is full.
        Misconfigured: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotAvailable(
                f"The disk is full: {name} does not fit into {folder}.", remedy="Free some space."
            ) from error
        raise Misconfigured(f"{name} cannot be written into {folder}: {error}.", remedy="Mend the folder.") from error
