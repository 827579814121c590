"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import datetime, timezone

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB")


def size(size_bytes: int) -> str:
    """A number of bytes in decimal units, as disks are sold: `1.38 GB`."""
    rounded = [(float(f"{size_bytes / 1000**power:.3g}"), unit) for power, unit in enumerate(_SIZES)]
    number, unit = next((each for each in rounded if each[0] < 1000), rounded[-1])
    return f"{number:.15g} {unit}"  # what is rounded to three digits needs no more, and gets no exponent


def duration(seconds: float) -> str:
    """A time span in its two largest units: `2 h 5 min`; short ones in tenths of a second."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = whole // 3600 % 24, whole // 60 % 60
    if whole >= 86_400:
        return f"{whole // 86_400} d {hours} h"
    if whole >= 3_600:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def moment(time: datetime) -> str:
    """A time in UTC to the minute: `2018-09-18 04:30 UTC`."""
    return f"{time.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def day(time: datetime) -> str:
    """The day of a time, in UTC: `2018-09-18`."""
    return f"{time.astimezone(timezone.utc):%Y-%m-%d}"


def percent(fraction: float) -> str:
    """A fraction in percent, to a digit that tells: `8.7 %`."""
    return f"{100 * fraction:.1f} %"
