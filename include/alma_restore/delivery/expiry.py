"""Expiry: deliveries that were kept as long as the policy says are removed, and nothing else ever is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from alma_restore.catalogue.records import DeliveryRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.delivery.destination import delivery_name
from alma_restore.delivery.folder import alone, beside, remove
from alma_restore.settings import Settings


@dataclass(frozen=True, slots=True)
class Removal:
    """One expired delivery; `problem` says why it is still there, and is empty when it is gone."""

    request_id: str
    path: str
    problem: str = ""


def remove_expired(catalogue: Catalogue, settings: Settings, now: datetime) -> tuple[Removal, ...]:
    """Remove every delivery that is due; what cannot be removed is reported and tried again the next time.

    A delivery is first marked as expired, which does not happen to one that was asked to be kept or is being made
    again; then it is renamed and deleted, with nobody else delivering to it.
    """
    roots = [root.resolve() for root in (settings.delivery_root, *settings.delivery.allowed_roots)]
    removals = (_remove(catalogue, delivery, roots, now) for delivery in catalogue.due_deliveries(now))
    return tuple(removal for removal in removals if removal is not None)


def _remove(catalogue: Catalogue, delivery: DeliveryRecord, roots: Iterable[Path], now: datetime) -> Removal | None:
    final = Path(delivery.path)
    mous_uid = catalogue.get(delivery.request_id).mous_uid
    if mous_uid is None or final.name != delivery_name(mous_uid, delivery.request_id) or not _is_below(final, roots):
        return Removal(delivery.request_id, delivery.path, "It is no folder that we delivered to; remove it by hand.")
    try:
        with nullcontext() if _went_with_its_folder(final, roots) else alone(final):
            if not catalogue.expire(delivery.request_id, now):
                return None
            trash = beside(final, "trash")
            remove(trash)  # of a removal cut short
            if os.path.lexists(final):
                final.rename(trash)
                remove(trash)
    except OSError as error:
        return Removal(delivery.request_id, delivery.path, f"It cannot be removed: {error}.")
    catalogue.mark_removed(delivery.request_id)
    return Removal(delivery.request_id, delivery.path)


def _went_with_its_folder(final: Path, roots: Iterable[Path]) -> bool:
    """Whether the folder that a delivery was made in is gone, and not the disk with it: there is nothing to lock then.

    Raises:
        OSError: nobody can tell.
    """
    try:
        final.parent.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return _is_below(final, [root for root in roots if root.is_dir()])
    return False


def _is_below(final: Path, roots: Iterable[Path]) -> bool:
    """Whether the delivery's place lies below an allowed root; were the delivery a link, it would not be followed."""
    return any(final.parent.resolve().is_relative_to(root) for root in roots)
