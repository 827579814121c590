"""The metrics, for Prometheus: it logs in with a token of its own, and sees nothing else."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import case, func, select
from sqlalchemy.exc import SQLAlchemyError

from alma_restore import metrics
from alma_restore.errors import Misconfigured
from alma_restore.metrics import TaskQueue
from alma_restore.web.house import HouseDep

router = APIRouter()

_SHORTEST_TOKEN = 16
_REMEDY = "Mend metrics.token_file in the settings."


def scraper(request: Request, house: HouseDep) -> None:
    """Let in who brings the token.

    Raises:
        HTTPException: 401.
        Misconfigured: the file of the token cannot be read, or holds none.
    """
    scheme, _, brought = request.headers.get("authorization", "").partition(" ")
    wanted = _token(house.settings.metrics.token_file)
    if not wanted or scheme.lower() != "bearer" or not hmac.compare_digest(brought.strip().encode(), wanted):
        raise HTTPException(401, "Metrics are for those who bring the token of metrics.token_file.")


def airflow_parts() -> Mapping[str, bool]:
    """Which parts of Airflow are alive; one that this installation has never had is left out."""
    from airflow.api.common.airflow_health import get_airflow_health

    return {part: told["status"] == "healthy" for part, told in get_airflow_health().items() if told["status"]}


def task_queues(house: HouseDep) -> Mapping[str, TaskQueue]:
    """Airflow's queues with the tasks of every DAG, and those of ours that hold none; none at all: nobody can tell."""
    from airflow.configuration import conf
    from airflow.models.taskinstance import TaskInstance  # noqa: TID251 -- the api-server is no worker
    from airflow.utils.session import create_session  # noqa: TID251 -- as above
    from airflow.utils.state import TaskInstanceState

    running = TaskInstance.state == TaskInstanceState.RUNNING
    queued = TaskInstance.state == TaskInstanceState.QUEUED
    statement = (
        select(
            TaskInstance.queue,
            func.count(case((running, 1))),
            func.min(case((queued, TaskInstance.queued_dttm))),
        )
        .where(running | queued, TaskInstance.queue.is_not(None))
        .group_by(TaskInstance.queue)
    )
    try:
        with create_session(scoped=False) as session:
            rows = session.execute(statement).all()
    except SQLAlchemyError:  # airflow_parts tells that the database is away
        return {}
    ours = house.settings.queues
    known = (conf.get("operators", "default_queue"), ours.archive, ours.casa)
    return dict.fromkeys(known, TaskQueue()) | {name: TaskQueue(number, since) for name, number, since in rows}


@router.get("/metrics", dependencies=[Depends(scraper)])
def tell(
    house: HouseDep,
    parts: Annotated[Mapping[str, bool], Depends(airflow_parts)],
    queues: Annotated[Mapping[str, TaskQueue], Depends(task_queues)],
) -> Response:
    content = metrics.exposition(house.catalogue, house.settings, parts, queues)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


def _token(file: Path | None) -> bytes:
    """The token that is asked for; empty: nobody is let in."""
    if file is None:
        return b""
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise Misconfigured(f"The token of the metrics cannot be read: {error}.", remedy=_REMEDY) from error
    if len(token) < _SHORTEST_TOKEN:
        raise Misconfigured(f"{file} holds no token of {_SHORTEST_TOKEN} characters or more.", remedy=_REMEDY)
    return token
