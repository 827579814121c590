"""Watches the composed demo to its end: everything healthy, containers killed one at a time, every MOUS delivered."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

CONTEXT = Path(sys.argv[1])
AIRFLOW = f"http://127.0.0.1:{os.environ['AIRFLOW_PORT']}"
RESTORABLE = 3
KILLED = (
    *("redis", "scheduler", "api-server", "dag-processor", "triggerer"),
    *("worker-archive", "worker-default", "postgres"),
)
"""One at a time, while restores are under way; the CASA worker goes first, in the middle of a CASA run."""

started = time.monotonic()


def say(text: str) -> None:
    print(f"        {time.monotonic() - started:4.0f} s  {text}", flush=True)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def container(service: str) -> str:
    project = os.environ["COMPOSE_PROJECT_NAME"]
    labels = [f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}"]
    return docker("ps", "-aq", *(word for label in labels for word in ("--filter", label)))


def health(service: str) -> str:
    return docker(
        "inspect", "-f", "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", container(service)
    )


def wait(what: str, seen: Callable[[], Any], limit_s: float = 300) -> Any:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if found := seen():
                say(what)
                return found
        except (OSError, ValueError, KeyError, subprocess.CalledProcessError):
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {limit_s:.0f} s in vain: {what}")
        time.sleep(1)


def kill(service: str) -> None:
    """As a crash: its first process is killed from outside, and the engine starts it again by the restart policy."""
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", container(service)))
    os.kill(pid, 9)
    say(f"killed {service}")


def query(sql: str) -> list[list[str]]:
    """Ask the catalogue."""
    command = ["exec", container("postgres"), "psql", "-U", "postgres", "-d", "catalogue", "-At", "-F", "|", "-c", sql]
    return [line.split("|") for line in docker(*command).splitlines()]


def states() -> dict[str, str]:
    return dict(query("SELECT mous_uid, state || ' ' || stage FROM request ORDER BY mous_uid"))


def delivered() -> int:
    return sum(state.startswith("delivered") for state in states().values())


def log_in() -> httpx.Client:
    """Nobody sees anything without logging in; the first user does."""
    assert httpx.get(f"{AIRFLOW}/api/v2/dags").status_code == 401
    assert httpx.get(f"{AIRFLOW}/mous/").status_code == 401
    admin = {"username": "admin", "password": (CONTEXT / "secrets/admin_password").read_text()}
    token = httpx.post(f"{AIRFLOW}/auth/token", json=admin).json()["access_token"]
    say("log-in is asked for, and works")
    return httpx.Client(base_url=AIRFLOW, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def check_pages(client: httpx.Client) -> None:
    """Airflow shows its DAGs, and our page the restored MOUSs."""
    assert "restore_mous" in {dag["dag_id"] for dag in client.get("/api/v2/dags").json()["dags"]}
    page = client.get("/mous/")
    assert page.status_code == 200, page.text


def check_secrets_stay_secret() -> None:
    """No secret stands in what the engine shows of a container or an image."""
    secrets = [path.read_text() for path in (CONTEXT / "secrets").iterdir()]
    containers, images = docker("ps", "-aq").split(), docker("image", "ls", "-q").split()
    shown = docker("inspect", *containers) + docker("inspect", *images) + docker("top", container("redis"))
    shown += "".join(docker("history", "--no-trunc", image) for image in images)
    assert not [secret for secret in secrets if secret in shown], "a secret is shown"
    say("no secret in any container's or image's description")


def check_deliveries() -> None:
    """Every MeasurementSet of every delivery is where the catalogue says, with the size that it says."""
    for path, size in query("SELECT path, size_bytes FROM delivery"):
        listing = docker("exec", container("worker-default"), "find", path, "-type", "f", "-printf", "%s\\n")
        assert sum(map(int, listing.split())) >= int(size) > 0, path
    attempts = query("SELECT count(*), count(DISTINCT mous_uid) FROM request WHERE state LIKE 'delivered%'")
    assert attempts == [[str(RESTORABLE)] * 2], attempts


def main() -> None:
    for service in ("postgres", "redis", "api-server", "scheduler", "dag-processor", "triggerer"):
        wait(f"{service} is healthy", lambda service=service: health(service) == "healthy")
    for service in ("worker-default", "worker-archive", "worker-casa", "demo-ngas", "demo-mail", "demo-sftp"):
        wait(f"{service} is healthy", lambda service=service: health(service) == "healthy")
    client = log_in()
    check_secrets_stay_secret()
    wait("CASA runs", lambda: any("run_casa" in state for state in states().values()), 900)
    kill("worker-casa")
    for service in KILLED:
        before = docker("inspect", "-f", "{{.State.StartedAt}}", container(service))
        kill(service)
        wait(
            f"{service} is back and healthy",
            lambda service=service, before=before: (
                health(service) == "healthy"
                and docker("inspect", "-f", "{{.State.StartedAt}}", container(service)) != before
            ),
        )
    wait("everything is delivered", lambda: delivered() == RESTORABLE, 1200)
    check_deliveries()
    check_pages(client)


if __name__ == "__main__":
    main()
