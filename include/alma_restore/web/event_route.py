"""StartWorkflow events over HTTP (seed 1): the same request as from the page or the command line."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from alma_restore.request_events import parse_start_workflow
from alma_restore.web.access import RequesterDep
from alma_restore.web.airflow_runs import AirflowRunsDep
from alma_restore.web.asking import ask_for
from alma_restore.web.house import HouseDep

router = APIRouter()

LONGEST_EVENT = 64 * 1024


@router.post("/api/events", status_code=202)
async def start_workflow(request: Request, who: RequesterDep, house: HouseDep, runs: AirflowRunsDep) -> dict[str, Any]:
    """Take a StartWorkflow event; the same correlation id again is answered with the same request."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LONGEST_EVENT:
            break  # cut short, it is no JSON any more and refused as such
    record = await ask_for(house, runs, parse_start_workflow(bytes(content), requested_by=who.name))
    return {
        "request_id": record.id,
        "correlation_id": record.correlation_id,
        "state": record.state,
        "page": f"{request.scope.get('root_path', '')}/requests/{record.id}",
    }
