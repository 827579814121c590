"""The tasks of `restore_mous`: thin skins over the stages of `alma_restore.restore`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import get_current_context, task

from alma_restore.catalogue.records import RequestRecord
from alma_restore.orchestration.open_house import open_house
from alma_restore.orchestration.operators import RunCasaOperator
from alma_restore.orchestration.stages import stage
from alma_restore.orchestration.stopped_tasks import stopped_stage
from alma_restore.settings import settings
from alma_restore.uid import Uid

MAX_RUNS = settings().restores_at_once

DISK_LOOKS = 288
"""A full disk pauses new restores: it is looked at every five minutes for a day."""

RETRIES = 3
RETRY_DELAY = timedelta(seconds=30)
BACKOFF = 2.0

QUEUES = settings().queues


@task(retries=2, retry_delay=timedelta(seconds=10))
def open_request() -> dict[str, Any]:
    """Store what was asked for, and decide whether it can be done."""
    from alma_restore.restore import opening, telling

    run = get_current_context()["dag_run"]
    asker = {"requested_by": opening.asker(str((run.conf or {}).get("requested_by", "")), run.triggering_user_name)}
    record = opening.store_request(open_house(), (run.conf or {}) | asker, run.run_id)
    with stage("open_request", record.id) as house:
        opened = opening.admit(house, record.id)
        telling.tell_accepted(house, record.id)
    return {"request_id": opened.request_id, "mous_uid": opened.mous_uid, "eb_uids": list(opened.eb_uids)}


@task(retries=DISK_LOOKS, retry_delay=timedelta(minutes=5))
def prepare_workspace(request: dict[str, Any]) -> list[str]:
    """Make the workspace and reserve its disk; the execution blocks to fetch."""
    from alma_restore.restore import opening

    with stage("prepare_workspace", request["request_id"]) as house:
        opening.prepare(house, request["request_id"])
    return list(request["eb_uids"])


@task(
    queue=QUEUES.archive,
    retries=RETRIES,
    retry_delay=RETRY_DELAY,
    retry_exponential_backoff=BACKOFF,
    map_index_template="{{ task.op_kwargs['eb_uid'] }}",
)
def fetch_asdm(request: dict[str, Any], eb_uid: str) -> dict[str, Any]:
    """Export and check one raw execution block."""
    from alma_restore.restore import fetching

    with stage("fetch_asdm", request["request_id"]) as house:
        facts = fetching.fetch_asdm(house, request["request_id"], Uid(eb_uid))
    return {"size_bytes": facts.size_bytes, "main_rows": facts.main_rows}


@task(queue=QUEUES.archive, retries=RETRIES, retry_delay=RETRY_DELAY, retry_exponential_backoff=BACKOFF)
def fetch_products(request: dict[str, Any]) -> int:
    """Fetch and verify the calibration products; the number of files."""
    from alma_restore.restore import fetching

    with stage("fetch_products", request["request_id"]) as house:
        return len(fetching.fetch_products(house, request["request_id"]))


@task(retries=RETRIES, retry_delay=RETRY_DELAY)
def stage_products(request: dict[str, Any]) -> None:
    """Put everything where the pipeline looks for it; choose the CASA."""
    from alma_restore.restore import calibrating

    with stage("stage", request["request_id"]) as house:
        calibrating.stage(house, request["request_id"])


@task(retries=RETRIES, retry_delay=RETRY_DELAY)
def write_ppr(request: dict[str, Any]) -> list[str]:
    """Write the pipeline processing request; what gets a CASA job: the MOUS, or each of its execution blocks."""
    from alma_restore.restore import calibrating

    with stage("write_ppr", request["request_id"]) as house:
        return list(calibrating.write_ppr(house, request["request_id"]))


def run_casa(request: Any, uids: Any) -> Any:
    """Run CASA, once or for each execution block; the operator finds a running one again, and stops it if cancelled."""
    return RunCasaOperator.partial(
        task_id="run_casa",
        request=request,
        queue=QUEUES.casa,
        retries=3,
        retry_delay=timedelta(seconds=5),
        map_index_template="{{ task.restores }}",
    ).expand(restores=uids)


@task(queue=QUEUES.casa, retries=RETRIES, retry_delay=RETRY_DELAY)
def verify(request: dict[str, Any]) -> list[str]:
    """Look into every MeasurementSet; the warnings."""
    from alma_restore.restore import calibrating

    with stage("verify", request["request_id"]) as house:
        return list(calibrating.verify(house, request["request_id"]).warnings)


@task(retries=RETRIES, retry_delay=RETRY_DELAY, retry_exponential_backoff=BACKOFF)
def deliver(request: dict[str, Any]) -> str:
    """Hand the calibrated data over; where they are."""
    from alma_restore.restore import closing

    with stage("deliver", request["request_id"]) as house:
        return closing.deliver(house, request["request_id"]).path


@task(retries=2)
def close_request() -> str:
    """Whatever happened: store the end, tell the requester, clean up. The state it ended in."""
    from alma_restore.restore import closing

    house = open_house()
    run = get_current_context()["dag_run"]
    record = house.catalogue.by_run_id(run.run_id)
    if record is None:
        return "unknown"
    if record.attempt > 1 + (run.clear_number or 0):  # cleared meanwhile: the request is not ours to end
        return record.state
    return closing.close(house, record.id, stopped=_marked_failed(run, record)).state


def _marked_failed(run: Any, record: RequestRecord) -> str:
    """How somebody has stopped the restore in Airflow; empty: nobody did."""
    if record.ended:
        return ""
    if run.state == "failed":  # while its tasks fail, a run is still running
        return f"The run was marked failed in Airflow during {record.stage or 'its start'}."
    stage = stopped_stage(record)
    return f"Its task was marked failed in Airflow during {stage}." if stage else ""
