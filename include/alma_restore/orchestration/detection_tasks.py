"""The tasks of `detect_calibrations`, and of the full sweep."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, CronTriggerTimetable, get_current_context, task
from airflow.sdk.bases.sensor import PokeReturnValue

from alma_restore.orchestration.open_house import open_house
from alma_restore.orchestration.triggering import trigger_restore
from alma_restore.settings import settings

log = logging.getLogger(__name__)

FIRST_DAY = datetime(2017, 10, 1, tzinfo=timezone.utc)
"""Nothing older can be restored (DOMAIN section 2)."""


def schedule() -> CronDataIntervalTimetable:
    """When detection runs: each run looks at the data interval that has just ended."""
    return CronDataIntervalTimetable(settings().detection.schedule, timezone="UTC")


def sweep_schedule() -> CronTriggerTimetable:
    """When the whole archive is swept."""
    return CronTriggerTimetable(settings().sweep.schedule, timezone="UTC")


# One look an interval (a time-out of zero): the schedule says how often, and no worker is held while nothing happens.
@task.sensor(mode="poke", timeout=0, soft_fail=True, retries=3, retry_delay=timedelta(seconds=20))
def find_calibrations() -> PokeReturnValue:
    """Look for newly calibrated MOUSs in the window; the restores to start.

    A window without any ends the run as skipped; an archive that does not answer is asked again.
    """
    from alma_restore.restore import detecting

    context = get_current_context()
    house = open_house()
    now = datetime.now(timezone.utc)  # triggered by hand, a run can have no interval
    start, end = context["data_interval_start"] or now, context["data_interval_end"] or now
    found = detecting.detect(house, start, end, backfill=context["dag_run"].run_type == "backfill")
    return PokeReturnValue(is_done=bool(found), xcom_value=[each.as_json() for each in found])


@task(retries=3, retry_delay=timedelta(seconds=30))
def trigger_restores(restores: list[dict[str, Any]]) -> int:
    """Start one run of `restore_mous` for each; how many were started now."""
    started = [each["run_id"] for each in restores if trigger_restore(each["run_id"], each["conf"])]
    log.info("Started %d of %d restores: %s", len(started), len(restores), " ".join(started))
    return len(started)


@task(retries=3, retry_delay=timedelta(minutes=5))
def sweep() -> list[dict[str, Any]]:
    """Judge the next part of the whole archive; the restores to start."""
    from alma_restore.restore import sweeping

    house = open_house()
    return [each.as_json() for each in sweeping.sweep(house, house.settings.sweep.time_limit_s)]
