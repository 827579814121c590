"""Asking for a restore: stored once, run once, however often and through whichever door the same thing is asked for."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from starlette.concurrency import run_in_threadpool

from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import ACTIVE, DELIVERED, ENDS, IllegalTransition
from alma_restore.errors import Refused, RestoreError
from alma_restore.request import RestoreRequest
from alma_restore.restore import telling
from alma_restore.restore.house import House
from alma_restore.web import downloads
from alma_restore.web.airflow_runs import AirflowRuns


async def ask_for(house: House, runs: AirflowRuns, request: RestoreRequest) -> RequestRecord:
    """Store a request and start its run, or find the one stored under its correlation id.

    Raises:
        NotAvailable: Airflow does not start the run; the request is stored as failed, with the reason. Asked for again,
            it is started.
    """
    record = await run_in_threadpool(house.catalogue.open_request, request, request.run_id)
    if record.run_id != request.run_id:
        return record
    if record.state == "failed" and record.stage == "open_request" and await runs.is_gone(request.run_id):
        with suppress(IllegalTransition):  # somebody else asks again at this very moment
            record = await run_in_threadpool(house.catalogue.reopen, record.id, "Asked for again.", None, 1)
    if record.state == "accepted":
        try:
            await runs.trigger(request.run_id, request.as_conf())
        except RestoreError as error:
            await run_in_threadpool(house.catalogue.fail, record.id, error, "open_request")
            raise
    return record


async def ask_or_join(house: House, runs: AirflowRuns, request: RestoreRequest) -> RequestRecord:
    """Join the request for the same delivery and options, whoever made it, or make a new one.

    Who joins is told of it as well: when it ends, or at once when it is delivered already; the delivery is kept as long
    as if it had been made now.
    """
    record = await run_in_threadpool(_one_like, house, request)
    if record is None:
        record = await _ask_anew(house, runs, request)
    # Its own asker joins nothing; somebody who asked at the same moment does.
    return await run_in_threadpool(telling.join, house, record.id, request.requested_by, request.email or "")


async def _ask_anew(house: House, runs: AirflowRuns, request: RestoreRequest) -> RequestRecord:
    """Under a correlation id that is the same for two who click at the same moment, and that no ended request has."""
    number = (await run_in_threadpool(house.catalogue.find, states=ENDS, uid=request.mous_uid, limit=1)).total
    asked = json.dumps([request.mous_uid, request.options], sort_keys=True)
    name = f"page-{hashlib.sha256(asked.encode()).hexdigest()[:16]}"
    while await run_in_threadpool(_has_ended, house, f"{name}-{number}"):
        number += 1
    return await ask_for(house, runs, request.model_copy(update={"correlation_id": f"{name}-{number}"}))


def _has_ended(house: House, correlation_id: str) -> bool:
    record = house.catalogue.by_correlation_id(correlation_id)
    return record is not None and record.ended


def _one_like(house: House, request: RestoreRequest) -> RequestRecord | None:
    """A request that gives the asker what they want: one under way, or one whose delivery is still there."""
    found = house.catalogue.find(states=ACTIVE | DELIVERED, uid=request.mous_uid, limit=1000).requests
    return next((each for each in found if each.options == request.options and _is_there_to_stay(house, each)), None)


def _is_there_to_stay(house: House, record: RequestRecord) -> bool:
    """Whether a request goes on, or its delivery is there, and now stays."""
    delivery = house.catalogue.delivery(record.id)
    if not record.ended or (delivery and "://" in delivery.path):
        return True
    try:
        folder = downloads.delivered_folder(delivery, house.settings)
    except Refused:
        return False
    kept_until = datetime.now(timezone.utc) + timedelta(days=house.settings.delivery.keep_days)
    return folder.is_dir() and house.catalogue.renew_delivery(record.id, kept_until)
