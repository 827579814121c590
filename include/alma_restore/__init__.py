"""Restore calibrated ALMA data: from a MOUS uid to a verified, delivered MeasurementSet.

In a notebook: `from alma_restore import request_restore, status, wait_for, list_restores, cancel, retry, find_mous`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alma_restore.client.verbs import (
        cancel,
        find_mous,
        list_restores,
        plan_backfill,
        request_restore,
        retry,
        status,
        wait_for,
    )
    from alma_restore.split import SplitOptions

__version__ = "0.1.0"

__all__ = [
    "SplitOptions",
    "__version__",
    "cancel",
    "find_mous",
    "list_restores",
    "plan_backfill",
    "request_restore",
    "retry",
    "status",
    "wait_for",
]


def __getattr__(name: str) -> Any:
    """The verbs are imported when they are first used: importing the package itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alma_restore.client import verbs

    return getattr(verbs, name)


def __dir__() -> list[str]:
    return sorted(__all__)
