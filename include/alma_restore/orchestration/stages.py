"""What every task of a restore does around its stage: note it in log and catalogue, and sort the errors.

The retry policy goes by class: what may get better by itself (`NotAvailable`, `DeliveryFailed`) is raised again for
Airflow to retry; everything else ends the request at once with its sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from alma_restore import log_fields
from alma_restore.catalogue.records import TRIED_AGAIN, RequestRecord
from alma_restore.catalogue.states import IllegalTransition
from alma_restore.errors import RestoreError
from alma_restore.orchestration.task_ends import word_left
from alma_restore.restore import opening
from alma_restore.restore.house import House

log = logging.getLogger(__name__)


@contextmanager
def stage(name: str, house: House) -> Iterator[str]:
    """Run one stage of the request that this run carries out; answers the request's id.

    Args:
        name: of the stage, as the catalogue and the request page show it. A task has one or several.

    Raises:
        AirflowFailException: the stage failed for good; the reason is stored.
        RestoreError: it may be retried.
    """
    record = _of_this_run(house)
    log_fields.bind(record.id, record.mous_uid, name)
    log.info("The stage begins.")
    entered = _enter(house, record, name)
    try:
        opening.promise_disk_again(house, entered)
        with word_left(entered, name):
            yield record.id
    except RestoreError as error:
        log.error("%s", error)  # Airflow tells it again, after the stage, without our fields
        if error.retryable and _tries_left():
            house.catalogue.note(record.id, f"{name}: {error} {TRIED_AGAIN}")
            raise
        house.catalogue.fail(record.id, error, name)
        raise AirflowFailException(str(error)) from error
    except Exception as error:
        log.exception("The stage stopped with an unexpected error.")
        if not _tries_left():
            unexpected = RestoreError(
                f"{name} stopped with an unexpected {type(error).__name__}: {error}.",
                remedy="The task's log has the details; this is a defect or a fault of the machine.",
            )
            house.catalogue.fail(record.id, unexpected, name)
        raise


def _of_this_run(house: House) -> RequestRecord:
    """Airflow's run is all that a task needs to be told: the catalogue knows its request."""
    run_id = get_current_context()["dag_run"].run_id
    record = house.catalogue.by_run_id(run_id)
    if record is None:
        raise AirflowFailException(f"The catalogue knows no request of the run {run_id}. Clear it from open_request.")
    return record


def _enter(house: House, record: RequestRecord, name: str) -> RequestRecord:
    """Note that the stage begins. Clearing tasks in Airflow reopens an ended request; anything else leaves it ended."""
    attempt = 1 + (get_current_context()["dag_run"].clear_number or 0)
    if record.ended and attempt <= record.attempt:
        raise AirflowFailException(f"The request has ended already ({record.state}): {record.reason}")
    if record.ended:
        house.catalogue.reopen(record.id, f"Cleared in Airflow, to run again from {name}.", attempt=attempt)
    elif attempt > record.attempt:  # else the next task would take this attempt's failure for an earlier one's
        house.catalogue.begin_attempt(record.id, attempt)
    try:
        return house.catalogue.start_stage(record.id, name)
    except IllegalTransition as ended:  # at this very moment; there is nothing to try again
        raise AirflowFailException(str(ended)) from ended


def _tries_left() -> bool:
    instance: Any = get_current_context()["ti"]
    return bool(instance.try_number <= instance.max_tries)
