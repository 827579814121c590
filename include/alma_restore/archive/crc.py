"""The checksums of NGAS: which plug-in computes what, and how its text is read."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import google_crc32c

Update = Callable[[memoryview, int], int]
"""Takes the next bytes and the checksum so far (0 at the start), gives the checksum with them."""


def _crc32c(data: memoryview, value: int) -> int:
    return int(google_crc32c.extend(value, data.tobytes()))


_ALGORITHMS: dict[str, Update] = {
    "ngamsGenCrc32": zlib.crc32,
    "crc32": zlib.crc32,
    "StreamCrc32": zlib.crc32,
    "crc32z": zlib.crc32,
    "crc32c": _crc32c,
}


def algorithm(plugin: str) -> Update | None:
    """How the checksum of this NGAS plug-in is computed; None for one nobody here knows.

    None means "cannot be verified", never "fine". Source: DOMAIN section 5.
    """
    return _ALGORITHMS.get(plugin.strip())


def read(text: str) -> int | None:
    """The checksum of NGAS's decimal text, which old rows write as a signed number; None if it is no number."""
    try:
        return int(text.strip()) & 0xFFFFFFFF
    except ValueError:
        return None
