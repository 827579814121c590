"""The few routes of Airflow 3.3's REST API that the client calls, with the answers that a real one was seen to give."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

UID = re.compile(r"^\s*(uid(://|___)A[0-9A-Fa-f]{3}[/_]X[0-9A-Fa-f]+[/_]X[0-9A-Fa-f]+)?\s*$")
TASKS = (
    "open_request",
    "fetch_asdm",
    "fetch_products",
    "write_ppr",
    "run_casa",
    "verify",
    "deliver",
    "close_request",
)


class FakeAirflow:
    """State that tests set and look at.

    Attributes:
        password: of the user `ada`; empty: no log-in is asked for (simple_auth_manager_all_admins).
        valid: the tokens that count now.
        runs: by run id, as the API shows them, newest last.
        tasks: states of task instances by run id; xcoms: what tasks told, by run id, task id and key.
        busy: so many times SQLite is locked when a backfill is to be made; down: every answer is 503.
        page: what everything is answered with instead, status code and content; a text is HTML.
        calls: what was called.
    """

    def __init__(self) -> None:
        self.password = ""
        self.valid: list[str] = []
        self.may_trigger = True
        self.paused = False
        self.health = dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy")
        self.import_errors: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.tasks: dict[str, dict[tuple[str, int], str | None]] = {}
        self.xcoms: dict[tuple[str, str, str], Any] = {}
        self.backfills: list[dict[str, Any]] = []
        self.busy = 0
        self.down = False
        self.page: tuple[int, Any] | None = None
        self.calls: list[str] = []
        self.url = ""

    def run_goes(self, run_id: str, state: str, **tasks: str | None) -> None:
        """A run goes into a state, and tasks of it into theirs."""
        self.runs[run_id]["state"] = state
        self.tasks[run_id].update({(task, -1): told for task, told in tasks.items()})

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, token: str) -> tuple[int, Any]:
        self.calls.append(f"{method} {path}")
        if self.page:
            return self.page
        if self.down:
            return 503, None
        if (method, path) == ("POST", "/auth/token"):
            return self._log_in(body)
        if path == "/api/v2/monitor/health":
            return 200, {name: {"status": status} for name, status in self.health.items()}
        if self.password and not token:
            return 401, {"detail": "Not authenticated"}
        if self.password and token not in self.valid:
            return 403, {"detail": "Invalid JWT token"}
        for wanted, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and wanted == method:
                return handler(self, *map(unquote, match.groups()), query=query, body=body)
        return 404, {"detail": "Not Found"}

    def _log_in(self, body: Any) -> tuple[int, Any]:
        if body != {"username": "ada", "password": self.password}:
            return 401, {"detail": "Invalid credentials"}
        self.valid.append(f"token-{len(self.valid)}")
        return 201, {"access_token": self.valid[-1]}

    def dag(self, dag_id: str, **_: Any) -> tuple[int, Any]:
        if dag_id not in ("restore_mous", "detect_calibrations"):
            return 404, {"detail": f"The Dag with ID: `{dag_id}` was not found"}
        return 200, {"dag_id": dag_id, "is_paused": self.paused, "is_stale": False, "has_import_errors": False}

    def errors(self, **_: Any) -> tuple[int, Any]:
        return 200, {"import_errors": self.import_errors, "total_entries": len(self.import_errors)}

    def trigger(self, *, body: Any, **_: Any) -> tuple[int, Any]:
        if not self.may_trigger:
            return 403, {"detail": "Forbidden"}
        if "logical_date" not in body:
            missing = {"type": "missing", "loc": ["body", "logical_date"], "msg": "Field required", "input": body}
            return 422, {"detail": [missing]}
        conf, run_id = body["conf"], body["dag_run_id"]
        if not UID.match(conf.get("mous_uid", "")):
            return 400, {"detail": f"Invalid input for param mous_uid: {conf['mous_uid']!r} does not match\n\nFailed"}
        if run_id in self.runs:
            return 409, {"detail": {"reason": "Unique constraint violation", "statement": "hidden"}}
        self.runs[run_id] = {
            "dag_run_id": run_id,
            "dag_id": "restore_mous",
            "queued_at": "2026-11-23T19:26:35.472226Z",
            "start_date": None,
            "end_date": None,
            "run_after": body.get("run_after", "2026-11-23T19:26:35.445554Z"),
            "run_type": "manual",
            "state": "queued",
            "triggered_by": "rest_api",
            "triggering_user_name": "ada",
            "conf": conf,
            "note": None,
        }
        self.tasks[run_id] = {(task, -1): None for task in TASKS}
        return 200, self.runs[run_id]

    def list_runs(self, *, query: dict[str, list[str]], **_: Any) -> tuple[int, Any]:
        states, contains = query.get("state", []), query.get("conf_contains", [""])[0]
        fitting = [
            run
            for run in reversed(self.runs.values())
            if (not states or run["state"] in states) and contains in json.dumps(run["conf"])
        ]
        return 200, _page("dag_runs", fitting, query)

    def run(self, run_id: str, **_: Any) -> tuple[int, Any]:
        missing = f"The DagRun with dag_id: `restore_mous` and run_id: `{run_id}` was not found"
        return (200, self.runs[run_id]) if run_id in self.runs else (404, {"detail": missing})

    def patch_run(self, run_id: str, *, body: Any, **_: Any) -> tuple[int, Any]:
        if not self.may_trigger:
            return 403, {"detail": "Forbidden"}
        if run_id in self.runs:
            self.runs[run_id] |= body
        return self.run(run_id)

    def instances(self, run_id: str, *, query: dict[str, list[str]], **_: Any) -> tuple[int, Any]:
        """Task instances of one run or, of `~`, of those that were to run within a time."""
        since, until = query.get("run_after_gte", [""])[0], query.get("run_after_lte", ["9999"])[0]
        wanted = [
            r for r, run in self.runs.items() if run_id == r or (run_id == "~" and since <= run["run_after"] <= until)
        ]
        every = [
            {"dag_run_id": r, "task_id": task, "map_index": index, "state": state}
            for r in wanted
            for (task, index), state in self.tasks[r].items()
            if task in query.get("task_id", [task]) and state in query.get("state", [state])
        ]
        return 200, _page("task_instances", every, query)

    def xcom(self, run_id: str, task_id: str, key: str, **_: Any) -> tuple[int, Any]:
        if (run_id, task_id, key) not in self.xcoms:
            return 404, {"detail": f"XCom entry with key: `{key}` not found"}
        return 200, {"key": key, "task_id": task_id, "value": self.xcoms[run_id, task_id, key]}

    def clear(self, *, body: Any, **_: Any) -> tuple[int, Any]:
        run_id = body["dag_run_id"]
        assert (body["dry_run"], body["include_downstream"]) == (False, True)
        marked = [tuple(mark) if isinstance(mark, list) else (mark, -1) for mark in body["task_ids"]]
        behind = min(TASKS.index("write_ppr") if task.startswith("fetch") else TASKS.index(task) for task, _ in marked)
        for task, index in self.tasks[run_id]:
            if (task, index) in marked or TASKS.index(task) >= behind:
                self.tasks[run_id][task, index] = None
        self.runs[run_id]["state"] = "queued"
        return 200, {"task_instances": [], "total_entries": 0}

    def backfill(self, *, body: Any, **_: Any) -> tuple[int, Any]:
        if self.busy:
            self.busy -= 1
            locked = "Database is locked. Backfill creation is not supported on SQLite under concurrent access."
            return 503, {"detail": locked}
        if self.backfills:
            return 409, {"detail": f"There is already a running backfill for dag {body['dag_id']}"}
        self.backfills.append(body)
        return 200, {"id": 1, **body, "is_paused": False, "completed_at": None}


_RUN = r"/api/v2/dags/restore_mous/dagRuns/([^/]+)"
ROUTES = (
    ("GET", r"/api/v2/dags/([^/]+)", FakeAirflow.dag),
    ("GET", r"/api/v2/importErrors", FakeAirflow.errors),
    ("POST", r"/api/v2/dags/restore_mous/dagRuns", FakeAirflow.trigger),
    ("GET", r"/api/v2/dags/restore_mous/dagRuns", FakeAirflow.list_runs),
    ("GET", _RUN, FakeAirflow.run),
    ("PATCH", _RUN, FakeAirflow.patch_run),
    ("GET", f"{_RUN}/taskInstances", FakeAirflow.instances),
    ("GET", f"{_RUN}/taskInstances/([^/]+)/xcomEntries/([^/]+)", FakeAirflow.xcom),
    ("POST", r"/api/v2/dags/restore_mous/clearTaskInstances", FakeAirflow.clear),
    ("POST", r"/api/v2/backfills", FakeAirflow.backfill),
)


def _page(name: str, every: list[Any], query: dict[str, list[str]]) -> dict[str, Any]:
    """A hundred at most, by offset or by cursor; a cursor that is empty begins."""
    first = int((query.get("cursor") or query.get("offset") or ["0"])[0] or 0)
    behind = first + min(100, int(query["limit"][0]))
    following = str(behind) if behind < len(every) else None
    return {name: every[first:behind], "total_entries": len(every), "next_cursor": following}


@contextmanager
def serve(fake: FakeAirflow) -> Iterator[FakeAirflow]:
    """Answer on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            query = parse_qs(parts.query, keep_blank_values=True)
            status, content = fake.answer(self.command, parts.path, query, body, token)
            is_page = isinstance(content, str)
            data = b"" if content is None else (content if is_page else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if is_page else "application/json")
            if status == 302:
                self.send_header("Location", "https://sso.example.org/login?state=secret")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
