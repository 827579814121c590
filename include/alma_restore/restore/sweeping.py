"""Sweeping: the slow walk through the whole archive that finds what the windows of detection missed."""

from __future__ import annotations

import time
from itertools import islice

from alma_restore.restore.detecting import Restore, judge, pending
from alma_restore.restore.house import House
from alma_restore.uid import Uid

CURSOR = "sweep"
_A_BATCH = 500
"""Calibrations recorded before the cursor moves: what a killed sweep does again."""


def sweep(house: House, time_limit_s: float) -> list[Restore]:
    """Judge every calibration of the archive once, going on where the last sweep stopped.

    It finds what no window shows: re-deliveries under an old date, rows that came late, changed QA0 verdicts.

    Args:
        time_limit_s: when to stop for this time; the next sweep goes on from there, and starts over at the end.

    Returns:
        The restores to be asked for: all that are pending, so that what an interrupted sweep found is among them.
    """
    deadline = time.monotonic() + time_limit_s
    after = house.catalogue.cursor(CURSOR)
    calibrations = house.archive.metadata.all_calibrations(Uid(after) if after else None)
    while batch := list(islice(calibrations, _A_BATCH)):
        judge(house, batch, seen_by="sweep")
        house.catalogue.set_cursor(CURSOR, batch[-1].mous_uid)
        if time.monotonic() > deadline:
            return pending(house, "detection")
    house.catalogue.set_cursor(CURSOR, "")
    return pending(house, "detection")
