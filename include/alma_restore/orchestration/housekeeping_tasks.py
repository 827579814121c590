"""The tasks of `clean_spool`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowRuntimeError

from alma_restore.errors import RestoreError
from alma_restore.orchestration.open_house import open_house
from alma_restore.orchestration.triggering import RESTORE_DAG_ID

_ACTIVE_RUN = ("queued", "running")


@task
def end_lost_requests() -> list[str]:
    """End requests whose run ended without a word."""
    from alma_restore.restore import housekeeping

    return [record.id for record in housekeeping.end_lost_requests(open_house(), _is_active)]


def _is_active(run_id: str) -> bool:
    """Whether a restore's run is still to do something; one that Airflow does not know is not."""
    instance: Any = get_current_context()["ti"]
    try:
        return bool(run_id) and instance.get_dagrun_state(RESTORE_DAG_ID, run_id) in _ACTIVE_RUN
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return False
        raise


@task
def tell_ends_again() -> list[str]:
    """Mail what could not be mailed when a request ended."""
    from alma_restore.restore import housekeeping

    return housekeeping.tell_ends_again(open_house())


@task
def warn_before_expiry() -> list[str]:
    """Tell requesters whose delivery is about to expire."""
    from alma_restore.restore import housekeeping

    return housekeeping.warn_before_expiry(open_house())


@task
def expire_deliveries() -> list[str]:
    """Remove what is beyond its time; what could not be removed fails the task, and is tried again tomorrow."""
    from alma_restore.restore import housekeeping

    removals = housekeeping.expire_deliveries(open_house())
    problems = [f"{removal.path}: {removal.problem}" for removal in removals if removal.problem]
    if problems:
        raise RestoreError("Expired deliveries are still there. " + " ".join(problems))
    return [removal.path for removal in removals]


@task
def remove_old_workspaces() -> list[str]:
    """Remove what ended requests left in the spool."""
    from alma_restore.restore import housekeeping

    return housekeeping.remove_old_workspaces(open_house())
