"""Airflow's REST API, as far as restores need it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random

from alma_restore.errors import Misconfigured, NotAvailable, Refused
from alma_restore.request import due_since

RESTORE_DAG_ID = "restore_mous"
DETECTION_DAG_ID = "detect_calibrations"

TIMEOUT_S = 30.0

BUSY_WAIT_S = 1.0
_BUSY_TRIES = 12


@dataclass(frozen=True, slots=True)
class Credentials:
    """How we log in: a token, or a user's name and password; none of them where Airflow asks for none."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Credentials:
        """Read `ALMA_RESTORE_AIRFLOW_TOKEN`, or `ALMA_RESTORE_AIRFLOW_USER` and `ALMA_RESTORE_AIRFLOW_PASSWORD`."""
        return cls(
            environ.get("ALMA_RESTORE_AIRFLOW_TOKEN", ""),
            environ.get("ALMA_RESTORE_AIRFLOW_USER", ""),
            environ.get("ALMA_RESTORE_AIRFLOW_PASSWORD", ""),
        )


def asked_at(run: Mapping[str, Any]) -> datetime:
    """When a run was asked for, or cleared; `run_after` says something else (`request.due_since`)."""
    return datetime.fromisoformat((run["queued_at"] or run["run_after"]).replace("Z", "+00:00"))  # for Python 3.10


class AirflowRest:
    """One Airflow, by its REST API.

    Every method raises NotAvailable when Airflow does not answer, or cannot now, as while the DAG has an import error;
    Misconfigured when something else answers at its address; and Refused when it does not let us: code `not_logged_in`,
    `not_allowed`, `not_found`, or `bad_request` with what Airflow says of what it was sent.

    Args:
        url: of the api-server, such as `https://airflow.example.org`.
        credentials: how we log in.
        timeout_s: how long one answer may take.
    """

    def __init__(self, url: str, credentials: Credentials, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._token = credentials.token
        self._http = httpx.Client(timeout=timeout_s)

    def trigger(self, run_id: str, conf: Mapping[str, Any]) -> bool:
        """Start a restore under this run id; False when that run exists already."""
        body = {"dag_run_id": run_id, "logical_date": None, "run_after": due_since(), "conf": dict(conf)}
        answer = self._call("POST", f"dags/{RESTORE_DAG_ID}/dagRuns", json=body, expected=(409,))
        return answer.status_code != 409

    def run(self, run_id: str) -> dict[str, Any] | None:
        """One run of `restore_mous`; None when there is none of this id."""
        return self._found(_run_path(run_id))

    def runs(
        self, *, conf_contains: str = "", states: tuple[str, ...] = (), since: datetime | None = None
    ) -> Iterator[dict[str, Any]]:
        """Runs of `restore_mous`, the newest first, asked for as they are wanted.

        Args:
            conf_contains: anywhere in the JSON of what was asked: a uid finds every one that begins with it, too.
            since: when they were asked for.
        """
        wanted: dict[str, Any] = {"order_by": "-id", "state": list(states)}
        if conf_contains:
            wanted["conf_contains"] = conf_contains
        found = self._pages(f"dags/{RESTORE_DAG_ID}/dagRuns", "dag_runs", wanted)
        return takewhile(lambda run: since is None or asked_at(run) >= since, found)

    def task_instances(self, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run."""
        return list(self._pages(f"{_run_path(run_id)}/taskInstances", "task_instances", {"order_by": "id"}))

    def skipped(self, task_id: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The instances of a task that were skipped, by run: in these runs, and in others of their time."""
        times = sorted(run["run_after"].rstrip("Z") for run in runs)  # a Z would sort behind a fraction of a second
        wanted = {
            "task_id": task_id,
            "state": "skipped",
            "run_after_gte": f"{times[0]}Z",
            "run_after_lte": f"{times[-1]}Z",
            "order_by": "id",
        }
        found = self._pages(f"dags/{RESTORE_DAG_ID}/dagRuns/~/taskInstances", "task_instances", wanted)
        return {task["dag_run_id"]: task for task in found}

    def xcom(self, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """What a task returned, or told under another key; None until it has."""
        answer = self._found(f"{_run_path(run_id)}/taskInstances/{task_id}/xcomEntries/{key}")
        return answer["value"] if answer else None

    def note(self, run_id: str, note: str) -> bool:
        """Write a note to a run; False when there is no such run. Who may do that may stop it as well."""
        return self._call("PATCH", _run_path(run_id), json={"note": note}, expected=(404,)).is_success

    def stop(self, run_id: str) -> None:
        """Mark a run as failed: its running tasks are stopped, its clean-up still runs."""
        self._call("PATCH", _run_path(run_id), json={"state": "failed"})

    def clear(self, run_id: str, tasks: Sequence[str | tuple[str, int]]) -> None:
        """Run these tasks, and all that follow them, again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(tasks),
            "only_failed": False,
            "include_downstream": True,
            "reset_dag_runs": True,
        }
        self._call("POST", f"dags/{RESTORE_DAG_ID}/clearTaskInstances", json=body)

    def create_backfill(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a backfill of `detect_calibrations`; returns it as Airflow describes it.

        An Airflow on SQLite often answers 503 here, whenever its scheduler writes at the same moment; it leaves nothing
        behind then, and is asked again.
        """
        wanted = {"dag_id": DETECTION_DAG_ID, **body}
        asking = Retrying(
            retry=retry_if_result(lambda answer: answer.status_code == 503),
            wait=wait_random(0, BUSY_WAIT_S),
            stop=stop_after_attempt(_BUSY_TRIES),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        answer: httpx.Response = asking(self._call, "POST", "backfills", json=wanted, expected=(503,))
        if answer.status_code == 503:
            raise self._error(answer)
        return dict(answer.json())

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        return self._found(f"dags/{dag_id}")

    def import_errors(self) -> list[str]:
        """The DAG files that Airflow cannot read, each with the last line of the reason."""
        errors = self._call("GET", "importErrors").json()["import_errors"]
        return [f"{each['filename']}: {each['stack_trace'].strip().splitlines()[-1]}" for each in errors]

    def health(self) -> dict[str, str]:
        """How each component says that it fares; the answer's body counts, its status code is always 200.

        A component that never ran says nothing.
        """
        parts = self._call("GET", "monitor/health").json()
        return {name: str(part["status"] or "not running") for name, part in parts.items() if part}

    def _pages(self, path: str, name: str, wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """All that a route lists, a hundred a page; what is new meanwhile moves none of it from page to page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self._call("GET", path, params={**wanted, "limit": 100, "cursor": cursor}).json()
            yield from page[name]
            cursor = page["next_cursor"]

    def _found(self, path: str) -> dict[str, Any] | None:
        answer = self._call("GET", path, expected=(404,))
        return None if answer.status_code == 404 else dict(answer.json())

    def _call(self, method: str, path: str, expected: tuple[int, ...] = (), **kwargs: Any) -> httpx.Response:
        """Call one route; a token that has run out is renewed once."""
        answer = self._send(method, f"api/v2/{path}", headers=self._bearer(), **kwargs)
        if _is_logged_out(answer) and self._credentials.user:
            self._token = ""
            answer = self._send(method, f"api/v2/{path}", headers=self._bearer(), **kwargs)
        if answer.is_success or answer.status_code in expected:
            return answer
        raise self._error(answer)

    def _bearer(self) -> dict[str, str]:
        if not self._token and self._credentials.user:
            self._token = self._log_in()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _log_in(self) -> str:
        body = {"username": self._credentials.user, "password": self._credentials.password}
        answer = self._send("POST", "auth/token", json=body)
        if not answer.is_success:
            raise self._error(answer)
        return str(answer.json()["access_token"])

    def _send(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"{self.url}/{path}", **kwargs)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotAvailable(
                f"Airflow at {self.url} does not answer: {error}.",
                remedy="Start it, or tell where it is: ALMA_RESTORE_AIRFLOW_URL.",
            ) from error
        if instead := _instead(answer):
            raise Misconfigured(
                f"What answers at {self.url} is not Airflow's API: {instead}.",
                remedy="Set ALMA_RESTORE_AIRFLOW_URL to where Airflow is, such as https://airflow.example.org, without "
                "the path of a page; a proxy before it must not ask for a log-in of its own.",
            )
        return answer

    def _error(self, answer: httpx.Response) -> Exception:
        says = f"Airflow at {self.url} answers {answer.status_code}: {_detail(answer)}."
        if _is_logged_out(answer):
            code, remedy = _REFUSALS[401]
        elif answer.status_code in _REFUSALS:
            code, remedy = _REFUSALS[answer.status_code]
        elif _is_about_what_was_sent(answer):
            code, remedy = "bad_request", ""
        else:
            return NotAvailable(says, remedy="Try again; `alma-restore doctor` tells how Airflow and its DAGs fare.")
        return Refused(says, code=code, remedy=remedy)


_LOG_IN = "Set ALMA_RESTORE_AIRFLOW_TOKEN, or ALMA_RESTORE_AIRFLOW_USER and ALMA_RESTORE_AIRFLOW_PASSWORD."

_REFUSALS = {
    401: ("not_logged_in", _LOG_IN),
    403: ("not_allowed", "Ask an Airflow administrator for the permission."),
    404: ("not_found", "`alma-restore doctor` tells whether the DAGs are there."),
    409: ("conflict", ""),
}

_ABOUT_THE_DAG = re.compile(r"Dag with dag_id: '[^']*' (has import errors|does not allow manual runs)")
"""As Airflow 3.3's `trigger_dag_run` begins what it also answers 400 with."""


def _instead(answer: httpx.Response) -> str:
    """What answers in place of Airflow's API, such as a page of Airflow's or a log-in before it; empty: nothing does.

    Airflow's pages answer every GET, and 405 to all else; its API says in JSON what it has not found.
    """
    if answer.has_redirect_location:
        return f"it sends on to {answer.headers['Location'].partition('?')[0]}"
    if answer.is_success and not isinstance(_content(answer), dict):
        return "it is a page"
    if answer.status_code == 405 or (answer.status_code == 404 and _said(answer) is None):
        return f"it answers {answer.status_code} to {answer.request.method} {answer.request.url.path}"
    return ""


def _is_logged_out(answer: httpx.Response) -> bool:
    """Whether there is no log-in, or it is no longer valid: Airflow answers 403 to a token that it did not sign."""
    return answer.status_code == 401 or (answer.status_code == 403 and "token" in _detail(answer).lower())


def _is_about_what_was_sent(answer: httpx.Response) -> bool:
    """Whether Airflow, no proxy before it, finds fault with what was sent, not with the DAG: it will do so again."""
    said = _said(answer)
    return answer.status_code in (400, 422) and said is not None and not _ABOUT_THE_DAG.match(str(said))


def _run_path(run_id: str) -> str:
    return f"dags/{RESTORE_DAG_ID}/dagRuns/{quote(run_id, safe='')}"


def _detail(answer: httpx.Response) -> str:
    """What Airflow says, in one line: `detail` is a sentence, a list of wrong fields, or an object with a reason."""
    detail = _said(answer)
    if detail is None:
        return answer.reason_phrase or "without a reason"
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg')}" for each in detail)
    if isinstance(detail, dict):
        detail = detail.get("reason", detail)
    return str(detail).partition("\n")[0].rstrip(".")


def _said(answer: httpx.Response) -> Any:
    """The detail of an answer of Airflow's; None where there is none, as in a proxy's."""
    content = _content(answer)
    return content.get("detail") if isinstance(content, dict) else None


def _content(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
