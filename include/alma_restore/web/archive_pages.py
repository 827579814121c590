"""The pages about the archive: the search, and one MOUS with the form that requests its restore."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from alma_restore.casa import installations
from alma_restore.errors import Misconfigured, NotAvailable, Refused, RestoreError
from alma_restore.restore.house import House
from alma_restore.uid import Uid
from alma_restore.web.access import FormTokenDep, SentFormDep, VisitorDep
from alma_restore.web.airflow_runs import AirflowRunsDep
from alma_restore.web.answers import Answers, SlowArchive
from alma_restore.web.asking import ask_or_join
from alma_restore.web.form import FIELDS, PARTS, Form
from alma_restore.web.house import AnswersDep, HouseDep
from alma_restore.web.mous import Row, with_requests
from alma_restore.web.rendering import page
from alma_restore.web.searching import STATES, Asked, find, named

router = APIRouter()


@router.get("/")
async def search(request: Request, who: VisitorDep, house: HouseDep, answers: AnswersDep) -> Response:
    """Search the archive; a slow archive costs only its part of the page."""
    asked = Asked.read(request.query_params)
    here = str(request.scope.get("root_path", "")) + "/"
    shown: dict[str, Any] = {"rows": [], "next_page": "", "looked_at": 0, "trouble": "", "slow": False}
    if not asked.mistakes:
        try:
            found = await find(house, answers, asked)
            rows = await run_in_threadpool(with_requests, house, found.mouss)
            next_page = here + asked.link(found.after, asked.shown + len(rows)) if found.after else ""
            shown |= {"rows": rows, "next_page": next_page, "looked_at": found.looked_at}
        except (NotAvailable, Misconfigured) as error:
            shown |= {"trouble": str(error), "slow": isinstance(error, SlowArchive)}
    return page(
        request,
        "search",
        who,
        asked=asked,
        states=STATES,
        order=_order(asked),
        again=here + asked.link(asked.after, asked.shown),
        first_page=here + asked.link("", 0),
        **shown,
    )


@router.get("/{mous}")
async def mous(
    request: Request, mous: str, who: VisitorDep, token: FormTokenDep, house: HouseDep, answers: AnswersDep
) -> Response:
    """What the archive knows of one MOUS, and the form that requests its restore."""
    row = await _row(house, answers, _uid(mous))
    form = Form.read({"email": await run_in_threadpool(_usual_email, house, who.name)})
    return await _mous_page(request, house, row, form, who=who, token=token)


@router.post("/{mous}/restore")
async def restore(
    request: Request,
    mous: str,
    who: SentFormDep,
    token: FormTokenDep,
    house: HouseDep,
    answers: AnswersDep,
    runs: AirflowRunsDep,
) -> Response:
    """Request a restore, or join the one like it, and go to its page at once."""
    row = await _row(house, answers, _uid(mous))
    form = Form.read(await request.form())
    try:
        if not row.mous.verdict.restorable:
            raise Refused(row.mous.verdict.sentence, code=row.mous.verdict.code)
        fingerprint = row.mous.found.calibration.fingerprint
        known = {"mous_uid": row.mous.uid, "fingerprint": fingerprint, "requested_by": who.name, "origin": "page"}
        record = await ask_or_join(house, runs, await run_in_threadpool(form.request, house, **known))
    except RestoreError as error:
        beside = {name: text for name, text in getattr(error, "fields", {}).items() if name in FIELDS}
        form = replace(form, mistakes=beside or {"": str(error)})
        status = 422 if isinstance(error, Refused) else 503
        return await _mous_page(request, house, row, form, who=who, token=token, status_code=status)
    here = request.scope.get("root_path", "")
    return RedirectResponse(f"{here}/requests/{record.id}", 303)


async def _mous_page(request: Request, house: House, row: Row, form: Form, **context: Any) -> Response:
    return page(
        request,
        "mous",
        row=row,
        form=form,
        parts=PARTS,
        versions=await run_in_threadpool(_versions, house),
        default_destination=str(house.settings.delivery_root),
        **context,
    )


async def _row(house: House, answers: Answers, uid: Uid) -> Row:
    """One MOUS.

    Raises:
        Refused: (code `unknown_uid`) the archive does not know it.
        NotAvailable: the archive does not answer, or not in time.
    """
    found = await named(house, answers, (uid,))
    if not found:
        raise Refused(f"The archive does not know the MOUS {uid}.", code="unknown_uid", remedy="Check the uid.")
    return (await run_in_threadpool(with_requests, house, found))[0]


def _uid(text: str) -> Uid:
    try:
        return Uid(text)
    except Refused as refusal:
        raise HTTPException(404, str(refusal)) from refusal


def _versions(house: House) -> list[tuple[str, str]]:
    """The CASA versions to choose from, the recommended choice first."""
    try:
        found = installations.load(house.settings)
    except Misconfigured:
        found = ()  # the recommended choice is left; the request says what is wrong when it comes to it
    recommended = ("", "Recommended: the one that calibrated, else the nearest newer one")
    return [recommended, *((each.name, f"{each.casa_version} ({each.name})") for each in found)]


def _usual_email(house: House, name: str) -> str:
    """Where this visitor's last request was answered to."""
    last = house.catalogue.find(requested_by=name, limit=1).requests if name else ()
    return last[0].email if last else ""


def _order(asked: Asked) -> str:
    if asked.wanted.uid:
        return ""
    if asked.state in ("active", "delivered", "failed", "expired"):
        return ", the newest request first"
    if asked.wanted.project or asked.wanted.source or asked.wanted.sched_block:
        return ", by name"
    return ", the latest calibration first"
