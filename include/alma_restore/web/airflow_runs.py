"""Starts, cancels and repeats runs of `restore_mous` from inside the api-server.

Airflow's public REST API is called in this very process, with the visitor's own credentials: Airflow decides once more
what they may do, and its audit log names them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import httpx
from fastapi import Depends, Request

from alma_restore.errors import NotAvailable
from alma_restore.request import due_since
from alma_restore.restore import again
from alma_restore.web.access import RESTORE_DAG_ID

_CREDENTIALS = ("authorization", "cookie")
_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})

_A_PAGE = 100
"""Task instances in one answer; Airflow gives no more, whatever is asked for (its `api.maximum_page_limit`)."""

SETTLE_LIMIT_S = 15.0
"""How long a retry waits for the run to be over."""
_SETTLE_LOOK_S = 0.5


class AirflowRuns:
    """The runs of `restore_mous`, on behalf of one visitor.

    Every method raises NotAvailable when Airflow says no, with what it says.

    Args:
        airflow: the api-server's own application.
        credentials: the headers by which Airflow knows the visitor.
    """

    def __init__(self, airflow: Any, credentials: Mapping[str, str]) -> None:
        self._airflow = airflow
        self._credentials = dict(credentials)

    async def trigger(self, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run; one that exists already is left alone."""
        body = {"dag_run_id": run_id, "logical_date": None, "run_after": due_since(), "conf": dict(conf)}
        await self._call("POST", "dagRuns", body, fine=(409,))

    async def cancel(self, run_id: str) -> None:
        """Stop a run: its tasks are killed, a running CASA with them; what cleans up still runs."""
        await self._call("PATCH", f"dagRuns/{quote(run_id)}", {"state": "failed"}, fine=(404,))

    async def wait_until_settled(self, run_id: str) -> None:
        """Wait until a cancelled or failed run has cleaned up; what it still does would be done to its next attempt.

        Raises:
            NotAvailable: as every method, and when it takes longer than somebody at a page waits.
        """
        for _ in range(round(SETTLE_LIMIT_S / _SETTLE_LOOK_S)):
            states = {instance["state"] for instance in await self._instances(run_id)}
            if states <= _ENDED:
                return
            await asyncio.sleep(_SETTLE_LOOK_S)
        if states - _ENDED != {None}:  # tasks that never began will not begin in a run that has ended
            raise NotAvailable("The run is still cleaning up.", remedy="Try again in a moment.")

    async def is_gone(self, run_id: str) -> bool:
        """Whether Airflow knows nothing of a run: it never began, or was deleted."""
        return not await self._instances(run_id)

    async def retry(self, run_id: str, conf: Mapping[str, Any], *, anew: bool = False) -> None:
        """Run again what did not succeed, and everything behind it; a run that is gone starts anew.

        Args:
            anew: run everything again, whatever succeeded.
        """
        instances = await self._instances(run_id)
        if not instances:
            await self.trigger(run_id, conf)
            return
        tasks = again.to_be_cleared(instances, anew)
        if not tasks:
            raise NotAvailable(f"The run {run_id} has no task to run again.", remedy="Start a new request.")
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": tasks,
            "only_failed": False,
            "include_downstream": True,
        }
        await self._call("POST", "clearTaskInstances", body)

    async def _instances(self, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run; none where there is no such run."""
        instances: list[dict[str, Any]] = []
        while True:
            page = f"limit={_A_PAGE}&offset={len(instances)}&order_by=id"
            answer = await self._call("GET", f"dagRuns/{quote(run_id)}/taskInstances?{page}", fine=(404,))
            if answer.status_code == 404:
                return []
            found = answer.json()
            instances += found["task_instances"]
            if not found["task_instances"] or len(instances) >= found["total_entries"]:
                return instances

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, fine: tuple[int, ...] = ()
    ) -> httpx.Response:
        async with self._client() as client:
            answer = await client.request(method, f"/api/v2/dags/{RESTORE_DAG_ID}/{path}", json=body)
        if answer.is_success or answer.status_code in fine:
            return answer
        raise NotAvailable(
            f"Airflow answered {answer.status_code}: {_detail(answer)}.",
            remedy=f"Look at the DAG {RESTORE_DAG_ID} in Airflow.",
        )

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=self._airflow)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=self._credentials
        ) as client:
            yield client


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])[:500].rstrip(".")
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def airflow_runs(request: Request) -> AirflowRuns:
    from airflow.api_fastapi.main import app

    credentials = {name: request.headers[name] for name in _CREDENTIALS if name in request.headers}
    return AirflowRuns(app, credentials)


AirflowRunsDep = Annotated[AirflowRuns, Depends(airflow_runs)]
