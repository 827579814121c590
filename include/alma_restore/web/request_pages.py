"""The pages about requests: their list, one of them as it goes on, cancelling and trying again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import IllegalTransition
from alma_restore.errors import Refused, RestoreError
from alma_restore.mail.addresses import veiled
from alma_restore.request import RestoreRequest
from alma_restore.restore.house import House
from alma_restore.uid import Uid
from alma_restore.web import downloads
from alma_restore.web.access import FormTokenDep, SentFormDep, VisitorDep
from alma_restore.web.airflow_runs import AirflowRunsDep
from alma_restore.web.answers import Answers
from alma_restore.web.form import PARTS
from alma_restore.web.house import AnswersDep, HouseDep
from alma_restore.web.mous import STATE_WORDS, TONES, Mous
from alma_restore.web.progress import Progress, earlier, look
from alma_restore.web.rendering import duration, page, size
from alma_restore.web.searching import named

router = APIRouter()

PAGE_SIZE = 50

DOORS: Mapping[str, str] = {
    "page": "on this page",
    "hand": "in Airflow",
    "command": "by command",
    "event": "by an event",
    "detection": "by the detection of new calibrations",
    "backfill": "by a backfill",
    "": "",
}
REPORT = "report.html"


@router.get("/requests")
def requests(
    request: Request, who: VisitorDep, house: HouseDep, offset: Annotated[int, Query(ge=0, le=10**9)] = 0
) -> Response:
    """All requests, the newest first."""
    found = house.catalogue.find(limit=PAGE_SIZE, offset=offset)
    seen = offset + len(found.requests)
    return page(
        request,
        "requests",
        who,
        rows=found.requests,
        total=found.total,
        offset=offset,
        page_size=PAGE_SIZE,
        next_offset=seen if seen < found.total else 0,
        state_words=STATE_WORDS,
        tones=TONES,
    )


@router.get("/requests/{request_id}")
async def one(
    request: Request, request_id: str, who: VisitorDep, token: FormTokenDep, house: HouseDep, answers: AnswersDep
) -> Response:
    """One request, as far as it has come."""
    record = await run_in_threadpool(house.catalogue.get, request_id)
    return page(
        request,
        "request",
        who,
        token=token,
        record=record,
        words=STATE_WORDS[record.state],
        tone=TONES.get(record.state, "quiet"),
        live=await _live(house, answers, record),
        asked=_asked(record),
        parts=PARTS,
        doors=DOORS,
        may_cancel=who.may_cancel(record.requested_by),
        history=await run_in_threadpool(house.catalogue.history, request_id),
        addresses=await run_in_threadpool(house.catalogue.addresses, request_id),
        as_seen=(lambda text: text) if who.is_operator else veiled,
        **await run_in_threadpool(_delivered, house, record),
    )


@router.get("/api/requests/{request_id}")
async def live(request_id: str, _: VisitorDep, house: HouseDep, answers: AnswersDep) -> dict[str, Any]:
    """What changes on a request's page while it goes on."""
    return await _live(house, answers, await run_in_threadpool(house.catalogue.get, request_id))


@router.post("/requests/{request_id}/cancel")
async def cancel(
    request: Request, request_id: str, who: SentFormDep, house: HouseDep, runs: AirflowRunsDep
) -> Response:
    """End a request: first in the catalogue, so that its dying tasks are not taken for failures, then in Airflow."""
    record = await run_in_threadpool(house.catalogue.get, request_id)
    if not who.may_cancel(record.requested_by):
        raise HTTPException(403, "Only its asker or an operator may cancel this restore.")
    if not record.ended:
        await run_in_threadpool(house.catalogue.cancel, request_id, f"Cancelled by {who.name}.")
    if record.run_id and (not record.ended or record.state == "cancelled"):  # again: Airflow may not have heard of it
        await runs.cancel(record.run_id)
    return _back_to(request, request_id)


@router.post("/requests/{request_id}/retry")
async def retry(request: Request, request_id: str, who: SentFormDep, house: HouseDep, runs: AirflowRunsDep) -> Response:
    """Run again what a failed or cancelled request did not finish; clicked twice, it runs once."""
    record = await run_in_threadpool(house.catalogue.get, request_id)
    if record.state not in ("failed", "cancelled"):
        return _back_to(request, request_id)
    asked = record.asked
    run_id = record.run_id or asked.run_id
    await runs.wait_until_settled(run_id)
    attempt = 1 if await runs.is_gone(run_id) else None  # a new run counts its attempts anew
    try:
        await run_in_threadpool(house.catalogue.reopen, request_id, f"Tried again by {who.name}.", run_id, attempt)
    except IllegalTransition:
        return _back_to(request, request_id)
    try:
        # Without its workspace what succeeded is gone, too.
        await runs.retry(run_id, _conf(asked, record), anew=not record.workspace)
    except RestoreError as error:
        await run_in_threadpool(house.catalogue.fail, request_id, error, "open_request")
        await run_in_threadpool(house.catalogue.begin_attempt, request_id, record.attempt)  # none has begun in Airflow
    return _back_to(request, request_id)


def _asked(record: RequestRecord) -> RestoreRequest | None:
    """What was asked for; None where that could not be read."""
    try:
        return record.asked
    except Refused:
        return None


def _conf(asked: RestoreRequest, record: RequestRecord) -> dict[str, Any]:
    return {**asked.as_conf(), "correlation_id": record.correlation_id}


def _back_to(request: Request, request_id: str) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/requests/{request_id}", 303)


async def _live(house: House, answers: Answers, record: RequestRecord) -> dict[str, Any]:
    mouss = await _from_archive(house, answers, record)
    ebs_of = {uid: mous.passed for uid, mous in mouss.items()}
    progress = await run_in_threadpool(look, house, record, ebs_of)
    expected = mouss[record.mous_uid].restore_bytes if record.mous_uid in mouss else None
    return {
        "version": f"{record.attempt} {'ended' if record.ended else 'going on'}",
        "state": record.state,
        "permille": round(progress.fraction * 1000),
        "steps": [{"name": s.name, "state": s.state, "time": duration(s.seconds)} for s in progress.steps],
        "texts": {
            "words": STATE_WORDS[record.state],
            "estimate": _estimate(record, progress),
            "ebs": _ebs(record, progress),
            "fetched": _fetched(progress, expected),
            "casa": record.casa_policy or "chosen once the products are there",
        },
        "log": progress.log,
    }


async def _from_archive(house: House, answers: Answers, record: RequestRecord) -> dict[Uid, Mous]:
    """What the archive says of this MOUS and of those restored before; nothing where it is slow, or nobody waits."""
    if record.ended or record.mous_uid is None:
        return {}
    before = await run_in_threadpool(earlier, house)
    uids = sorted({record.mous_uid, *(each.mous_uid for each in before if each.mous_uid)})
    try:
        return {mous.uid: mous for mous in await named(house, answers, tuple(uids))}
    except RestoreError:
        return {}


def _estimate(record: RequestRecord, progress: Progress) -> str:
    if record.state == "accepted":
        return "Waits for Airflow to begin."
    if record.ended:
        return ""
    if progress.ends_at is None:
        return "Nothing was restored here before, so nobody can say how long it takes."
    left = (progress.ends_at - datetime.now(timezone.utc)).total_seconds()
    if left < 1:
        return "Takes longer than restores did before."
    return f"About {duration(left)} to go, as restores took before."


def _ebs(record: RequestRecord, progress: Progress) -> str:
    if not progress.ebs:
        return "–"
    if progress.casa_ebs and not record.ended:
        return f"{progress.casa_ebs} of {progress.ebs} in CASA"
    return f"{progress.fetched_ebs} of {progress.ebs} fetched"


def _fetched(progress: Progress, expected: int | None) -> str:
    if not progress.fetched_bytes:
        return "–"
    if expected and progress.fetched_bytes >= expected:  # what was unpacked counts, too
        return f"{size(expected)}, all of it"
    return f"{size(progress.fetched_bytes)} of {size(expected)}" if expected else size(progress.fetched_bytes)


def _delivered(house: House, record: RequestRecord) -> dict[str, Any]:
    """What the page shows of the delivery, and of the time it all took."""
    delivery = house.catalogue.delivery(record.id)
    told: dict[str, Any] = {"delivery": delivery, "items": [], "downloadable": False, "has_report": False}
    try:
        folder = downloads.delivered_folder(delivery, house.settings)
    except Refused as refusal:
        return {**told, "not_downloadable": refusal.sentence}
    items = _items(folder, delivery.sha256 if delivery else "")
    has_report = any(item.name == REPORT for item in items)
    return {**told, "items": items, "downloadable": True, "has_report": has_report, "not_downloadable": ""}


@lru_cache(maxsize=200)
def _items(folder: Path, _sha256: str) -> list[downloads.Item]:
    """What lies in a delivery, which does not change while its checksums do not: a large one takes long to look at."""
    return downloads.items(folder)
