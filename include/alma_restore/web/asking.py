"""Asking for a restore: stored once, run once, however often and through whichever door the same thing is asked for."""

from __future__ import annotations

import hashlib
import json

from starlette.concurrency import run_in_threadpool

from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import ACTIVE, DELIVERED, ENDS
from alma_restore.errors import Refused, RestoreError
from alma_restore.request import RestoreRequest
from alma_restore.restore import telling
from alma_restore.restore.house import House
from alma_restore.web import downloads
from alma_restore.web.airflow_runs import AirflowRuns


async def ask_for(house: House, runs: AirflowRuns, request: RestoreRequest) -> RequestRecord:
    """Store a request and start its run, or find the one stored under its correlation id.

    Raises:
        NotAvailable: Airflow does not start the run; the request is stored as failed, with the reason.
    """
    record = await run_in_threadpool(house.catalogue.open_request, request, request.run_id)
    if record.state == "accepted" and record.run_id == request.run_id:
        try:
            await runs.trigger(request.run_id, request.as_conf())
        except RestoreError as error:
            await run_in_threadpool(house.catalogue.fail, record.id, error, "open_request")
            raise
    return record


async def ask_or_join(house: House, runs: AirflowRuns, request: RestoreRequest) -> RequestRecord:
    """Join the request for the same delivery and options, whoever made it, or make a new one.

    Who joins is told of it as well: when it ends, or at once when it is delivered already.
    """
    same = await run_in_threadpool(one_like, house, request)
    if same is not None:
        return await run_in_threadpool(telling.join, house, same.id, request.requested_by, request.email or "")
    correlation_id = await run_in_threadpool(_correlation_id, house, request)
    return await ask_for(house, runs, request.model_copy(update={"correlation_id": correlation_id}))


def one_like(house: House, request: RestoreRequest) -> RequestRecord | None:
    """A request that gives the asker what they want: one under way, or one whose delivery is still there."""
    found = house.catalogue.find(states=ACTIVE | DELIVERED, uid=request.mous_uid, limit=1000).requests
    return next((each for each in found if each.options == request.options and _is_there(house, each)), None)


def _is_there(house: House, record: RequestRecord) -> bool:
    delivery = house.catalogue.delivery(record.id)
    if not record.ended or (delivery and "://" in delivery.path):
        return True
    try:
        return downloads.delivered_folder(delivery, house.settings).is_dir()
    except Refused:
        return False


def _correlation_id(house: House, request: RestoreRequest) -> str:
    """The same for two who click at the same moment, another one once that request has ended."""
    ended = house.catalogue.find(states=ENDS, uid=request.mous_uid, limit=1).total
    asked = json.dumps([request.mous_uid, request.options], sort_keys=True)
    return f"page-{hashlib.sha256(asked.encode()).hexdigest()[:16]}-{ended}"
