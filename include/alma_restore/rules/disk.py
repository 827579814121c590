"""How much disk a restore needs."""

from __future__ import annotations

import math


def needed(raw_bytes: int, product_bytes: int, factor: float) -> int:
    """Estimate the disk that one restore takes at its fullest.

    Args:
        raw_bytes: size of its raw execution blocks.
        product_bytes: size of its calibration products; they lie there packed and unpacked, so they count twice.
        factor: disk per byte of raw data, for the raw data themselves, the MeasurementSets and the delivery.

    Source: DOMAIN section 10 (3 to 14 times the raw data).
    """
    return math.ceil(raw_bytes * factor) + 2 * product_bytes
