"""The tasks of `restore_mous`: thin skins over the stages of `alma_restore.restore`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task

from alma_restore.catalogue.records import RequestRecord
from alma_restore.orchestration.open_house import open_house
from alma_restore.orchestration.operators import RunCasaOperator
from alma_restore.orchestration.stages import stage
from alma_restore.orchestration.task_ends import stopped_stage
from alma_restore.settings import settings
from alma_restore.uid import Uid

MAX_RUNS = settings().restores_at_once

RETRIES = 3
RETRY_DELAY = timedelta(seconds=30)
BACKOFF = 2.0

OPENING_RETRIES = 290
"""A full disk, or an archive that does not answer, pauses a new restore for a day."""
OPENING_RETRY_DELAY = timedelta(seconds=10)
OPENING_RETRY_DELAY_AT_MOST = timedelta(minutes=5)

QUEUES = settings().queues


@task(
    retries=OPENING_RETRIES,
    retry_delay=OPENING_RETRY_DELAY,
    retry_exponential_backoff=BACKOFF,
    max_retry_delay=OPENING_RETRY_DELAY_AT_MOST,
)
def open_request() -> list[str]:
    """Store what was asked for, decide whether it can be done, and reserve its disk; the execution blocks to fetch."""
    from alma_restore.restore import opening, telling

    context, house = get_current_context(), open_house()
    run = context["dag_run"]
    asker = {"requested_by": opening.asker(str((run.conf or {}).get("requested_by", "")), run.triggering_user_name)}
    record = opening.store_request(house, (run.conf or {}) | asker, run.run_id)
    if not opening.waits_for_disk(record):
        with stage("open_request", house) as request_id:
            opening.admit(house, request_id)
            telling.tell_accepted(house, request_id)
    with stage("prepare_workspace", house) as request_id:
        workspace = opening.prepare(house, request_id)
    # For clients that reach Airflow and not the catalogue.
    context["ti"].xcom_push("opened", {"request_id": request_id, "workspace": str(workspace.root)})
    return list(workspace.metadata()["fileSetIds"])


@task(
    queue=QUEUES.archive,
    retries=RETRIES,
    retry_delay=RETRY_DELAY,
    retry_exponential_backoff=BACKOFF,
    map_index_template="{{ task.op_kwargs['eb_uid'] }}",
)
def fetch_asdm(eb_uid: str) -> None:
    """Export and check one raw execution block."""
    from alma_restore.restore import fetching

    house = open_house()
    with stage("fetch_asdm", house) as request_id:
        fetching.fetch_asdm(house, request_id, Uid(eb_uid))


@task(queue=QUEUES.archive, retries=RETRIES, retry_delay=RETRY_DELAY, retry_exponential_backoff=BACKOFF)
def fetch_products() -> None:
    """Fetch and verify the calibration products."""
    from alma_restore.restore import fetching

    house = open_house()
    with stage("fetch_products", house) as request_id:
        fetching.fetch_products(house, request_id)


@task(retries=RETRIES, retry_delay=RETRY_DELAY)
def write_ppr() -> list[str]:
    """Put everything where the pipeline looks for it, choose the CASA, and write the pipeline processing request.

    Returns:
        What gets a CASA job: the MOUS, or each of its execution blocks.
    """
    from alma_restore.restore import calibrating

    house = open_house()
    with stage("stage", house) as request_id:
        calibrating.stage(house, request_id)
    with stage("write_ppr", house) as request_id:
        return list(calibrating.write_ppr(house, request_id))


def run_casa(uids: Any) -> Any:
    """Run CASA, once or for each execution block; the operator finds a running one again, and stops it if cancelled."""
    return RunCasaOperator.partial(
        task_id="run_casa",
        queue=QUEUES.casa,
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
        retry_exponential_backoff=BACKOFF,
        map_index_template="{{ task.restores }}",
    ).expand(restores=uids)


@task(queue=QUEUES.casa, retries=RETRIES, retry_delay=RETRY_DELAY)
def verify() -> None:
    """Look into every MeasurementSet."""
    from alma_restore.restore import calibrating

    house = open_house()
    with stage("verify", house) as request_id:
        calibrating.verify(house, request_id)


@task(retries=RETRIES, retry_delay=RETRY_DELAY, retry_exponential_backoff=BACKOFF)
def deliver() -> str:
    """Hand the calibrated data over; where they are."""
    from alma_restore.restore import closing

    house = open_house()
    with stage("deliver", house) as request_id:
        return closing.deliver(house, request_id).path


@task(retries=RETRIES, retry_delay=RETRY_DELAY)
def close_request() -> None:
    """Whatever happened: store the end, tell the requester, clean up."""
    from alma_restore.restore import closing, opening

    house = open_house()
    run = get_current_context()["dag_run"]
    record = house.catalogue.by_run_id(run.run_id)
    if record is None and _was_marked_failed(run):
        record = opening.store_request(house, run.conf or {}, run.run_id)
    if record is None:  # it could not even be stored; the first task's log says why
        return
    if record.attempt > 1 + (run.clear_number or 0):  # cleared meanwhile: the request is not ours to end
        return
    closing.close(house, record.id, stopped=_marked_failed(run, record))


def _marked_failed(run: Any, record: RequestRecord) -> str:
    """How somebody has stopped the restore in Airflow; empty: nobody did."""
    if record.ended:
        return ""
    if _was_marked_failed(run):
        return f"The run was marked failed in Airflow during {record.stage or 'its start'}."
    stage = stopped_stage(record)
    return f"Its task was marked failed in Airflow during {stage}." if stage else ""


def _was_marked_failed(run: Any) -> bool:
    """Whether somebody has marked the whole run as failed.

    While its teardown is to come, Airflow 3.3 does not set the run's state then: it skips what has not begun, and no
    task of a restore is skipped otherwise. While its tasks fail, a run is still running.
    """
    instance: Any = get_current_context()["ti"]
    states = instance.get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    return run.state == "failed" or "skipped" in states.values()
