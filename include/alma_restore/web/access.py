"""Who is asking, and may they? Airflow's auth manager decides; forms are protected against other sites."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Form, HTTPException, Request
from starlette.concurrency import run_in_threadpool

RESTORE_DAG_ID = "restore_mous"

FORM_LIFE_S = 12 * 3600
"""How long a form may lie open before it is sent."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody whom Airflow knows, and who may see restores.

    Attributes:
        id: unchanging; name: for people.
        may_request: whether they may start runs of `restore_mous`, and cancel their own.
        is_operator: whether they may cancel the restores of others as well, and see who is mailed.
    """

    id: str
    name: str
    may_request: bool
    is_operator: bool = False

    def may_cancel(self, requested_by: str) -> bool:
        """Whether they may stop a restore that somebody asked for."""
        return self.is_operator or (self.may_request and self.name == requested_by)


async def visitor(request: Request) -> Visitor:
    """Ask Airflow who this is.

    Raises:
        HTTPException: 401 without a valid log-in, 403 for those who may not see runs of `restore_mous`.
    """
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user

    user = await get_user(request, None, await bearer_scheme(request))
    return await run_in_threadpool(visitor_of, request, user)


def visitor_of(request: Request, user: Any) -> Visitor:
    """What Airflow lets a user of its own do here (docs/security.md).

    Raises:
        HTTPException: 403 for those who may not see runs of `restore_mous`.
    """
    if not _may("GET", request, user):
        raise HTTPException(403, "You may not see restores: Airflow does not let you read the runs of restore_mous.")
    may_request = _may("POST", request, user)
    return Visitor(str(user.get_id()), str(user.get_name()), may_request, may_request and _is_operator(user))


def _may(method: Any, request: Request, user: Any) -> bool:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    try:
        requires_access_dag(method, DagAccessEntity.RUN, RESTORE_DAG_ID)(request, user)
    except HTTPException:
        return False
    return True


def _is_operator(user: Any) -> bool:
    """Airflow's roles Op and Admin, in each of its auth managers, are those that may change pools."""
    from airflow.api_fastapi.app import get_auth_manager

    return bool(get_auth_manager().is_authorized_pool(method="PUT", user=user))


VisitorDep = Annotated[Visitor, Depends(visitor)]


def requester(request: Request, who: VisitorDep) -> Visitor:
    """A visitor who may request restores, and whose own page it is that asks.

    Raises:
        HTTPException: 403.
    """
    if not who.may_request:
        raise HTTPException(403, "You may look, but not request: Airflow does not let you trigger restore_mous.")
    _check_same_site(request)
    return who


def _check_same_site(request: Request) -> None:
    """Refuse what another site's page makes a browser send; programs outside a browser send neither header."""
    site = request.headers.get("sec-fetch-site", "none")
    origin = request.headers.get("origin")
    own = request.headers.get("host", "")
    # A proxy may rewrite Host; a browser that tells Sec-Fetch-Site has compared the origins itself.
    foreign_origin = "sec-fetch-site" not in request.headers and origin and urlsplit(origin).netloc != own
    if site not in ("same-origin", "none") or foreign_origin:
        raise HTTPException(403, "This request came from another site's page.")


RequesterDep = Annotated[Visitor, Depends(requester)]


def server_secret() -> str:
    """The api-server's own secret."""
    from airflow.api_fastapi.main import app

    return str(app.state.secret_key)


SecretDep = Annotated[str, Depends(server_secret)]


def form_token(who: VisitorDep, secret: SecretDep) -> str:
    """What a form of this visitor carries to prove that a page of ours made it."""
    return _signed(secret, who, int(time.time()))


FormTokenDep = Annotated[str, Depends(form_token)]


def sent_form(who: RequesterDep, secret: SecretDep, token: Annotated[str, Form()] = "") -> Visitor:
    """A requester who sent one of our own forms.

    Raises:
        HTTPException: 403.
    """
    moment = token.partition(".")[0]
    known = moment.isascii() and moment.isdigit() and hmac.compare_digest(token, _signed(secret, who, int(moment)))
    if not known or time.time() - int(moment) > FORM_LIFE_S:
        raise HTTPException(403, "This form is not ours, or it is too old. Open the page again and send it once more.")
    return who


SentFormDep = Annotated[Visitor, Depends(sent_form)]


def _signed(secret: str, who: Visitor, moment: int) -> str:
    message = f"alma_restore.form\0{who.id}\0{moment}"
    return f"{moment}.{hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()}"
