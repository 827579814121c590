"""The composed system seen from outside: its containers, its catalogue, its volumes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = os.environ["COMPOSE_PROJECT_NAME"]
started = time.monotonic()


def say(text: str) -> None:
    print(f"        {time.monotonic() - started:4.0f} s  {text}", flush=True)


def wait(what: str, seen: Callable[[], Any], limit_s: float = 300, pause_s: float = 1) -> Any:
    """Wait until something is seen, and say so; what it was."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if found := seen():
                say(what)
                return found
        except (OSError, ValueError, KeyError, subprocess.CalledProcessError):
            pass  # a service that is just away
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {limit_s:.0f} s in vain: {what}")
        time.sleep(pause_s)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def containers(service: str) -> list[str]:
    """The ids of a service's containers, whole, on this host and on the one that stands for all others."""
    wanted = ("--filter", f"label=com.docker.compose.service={service}")
    return docker("ps", "-aq", "--no-trunc", *wanted).split()


def container(service: str) -> str:
    (only,) = containers(service)
    return only


def fact(of: str, template: str) -> str:
    return docker("inspect", "-f", template, of)


def is_healthy(each: str) -> bool:
    return fact(each, "{{.State.Health.Status}}") == "healthy"


def begun(each: str) -> str:
    """When a container was started the last time."""
    return fact(each, "{{.State.StartedAt}}")


def address(service: str) -> str:
    return fact(container(service), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")


def volume(name: str) -> Path:
    return Path(docker("volume", "inspect", "-f", "{{.Mountpoint}}", f"{PROJECT}_{name}"))


def crash(each: str) -> None:
    """A container's first process is killed from outside; the engine starts it again by the restart policy."""
    os.kill(int(fact(each, "{{.State.Pid}}")), 9)


REQUESTS = """
SELECT json_build_object('id', r.id, 'mous_uid', r.mous_uid, 'correlation_id', r.correlation_id, 'state', r.state,
                         'stage', r.stage, 'error_code', r.error_code, 'workspace', r.workspace, 'path', d.path,
                         'ends', (SELECT count(*) FROM transition t WHERE t.request_id = r.id AND t.stage = 'deliver'
                                                                      AND t.state LIKE 'delivered%' AND t.note = ''))
  FROM request r LEFT JOIN delivery d ON d.request_id = r.id ORDER BY r.created_at
"""


@dataclass(frozen=True)
class Request:
    """A request as the catalogue has it; `ends`: how often it came to be delivered."""

    id: str
    mous_uid: str
    correlation_id: str
    state: str
    stage: str
    error_code: str
    workspace: str
    path: str | None
    ends: int

    @property
    def delivered(self) -> bool:
        return self.state.startswith("delivered")

    def attempts(self) -> dict[int, Path]:
        """The folders of its CASA runs."""
        if not self.workspace:
            return {}
        logs = volume("spool") / Path(self.workspace).name / "Logs"
        return {int(folder.name.removeprefix("attempt-")): folder for folder in logs.glob("attempt-*")}


def requests(ours: Callable[[str], bool]) -> list[Request]:
    """The requests whose MOUS is ours, oldest first."""
    command = ["exec", container("postgres"), "psql", "-U", "postgres", "-d", "catalogue", "-Atc", REQUESTS]
    found = [Request(**json.loads(line)) for line in docker(*command).splitlines()]
    return [request for request in found if request.mous_uid and ours(request.mous_uid)]
