"""Watches the composed demo to its end: everything healthy, each part killed once, every restore delivered once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import stack
from broker import Broker
from stack import Request, container, containers, docker, fact, say, wait

CONTEXT = Path(sys.argv[1])
HERE = Path(__file__).parent
AIRFLOW = f"http://127.0.0.1:{os.environ['AIRFLOW_PORT']}"
RESTORABLE = 3
CASA_WORKERS = 2
OLD = "uid://A001/X2f6/"
"""What the MOUSs in the older release's catalogue begin with."""
KEYS = ("by-event", "by-hand")
"""The correlation ids of the two restores that live through the worst."""

SERVICES = (
    *("redis", "scheduler", "api-server", "dag-processor", "triggerer", "worker-archive"),
    *("rabbitmq", "events-consume", "events-publish", "postgres", "demo-ngas", "demo-mail", "demo-sftp"),
)
"""Killed in this order, one at a time, each while a restore is under way."""
FAR_END = "sftp://demo_sftp/deliveries"
FAR_FOLDER = "/srv/alma-restore/demo/sftp/uploads/deliveries"
"""The same, where the workers have the far end's volume."""
REQUESTER = "requester@example.org"
COMMAND_LINE = CONTEXT / "docker" / "alma-restore"


def log_in() -> httpx.Client:
    """Nobody sees anything without logging in; the first user does."""
    client = httpx.Client(base_url=AIRFLOW, timeout=120)
    assert client.get("/api/v2/dags").status_code == 401
    assert client.get("/mous/").status_code == 401
    admin = {"username": "admin", "password": (CONTEXT / "secrets/admin_password").read_text()}
    client.headers["Authorization"] = f"Bearer {client.post('/auth/token', json=admin).json()['access_token']}"
    say("log-in is asked for, and works")
    return client


def check_secrets_stay_secret() -> None:
    """No secret stands in what the engine shows of a container or an image."""
    secrets = [path.read_text() for path in (CONTEXT / "secrets").iterdir()]
    images = docker("image", "ls", "-q").split()
    shown = docker("inspect", *docker("ps", "-aq").split()) + docker("inspect", *images)
    shown += docker("top", container("redis")) + docker("top", container("rabbitmq"))
    shown += "".join(docker("history", "--no-trunc", image) for image in images)
    assert not [secret for secret in secrets if secret in shown], "a secret is shown"
    say("no secret in any container's or image's description")


def command_line(*arguments: str) -> str:
    """What the operators' command line prints, inside the composed system."""
    log_in = {"USER": "admin", "PASSWORD": (CONTEXT / "secrets/admin_password").read_text()}
    environment = os.environ | {f"ALMA_RESTORE_AIRFLOW_{name}": value for name, value in log_in.items()}
    done = subprocess.run([COMMAND_LINE, *arguments], env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def ask(mous_uid: str, key: str) -> None:
    """Ask for a restore that is delivered over SFTP."""
    told = ("--email", REQUESTER, "--destination", FAR_END)
    assert "is asked for" in command_line("request", mous_uid, "--correlation-id", key, *told)


def old_requests() -> list[Request]:
    return stack.requests(lambda mous_uid: mous_uid.startswith(OLD))


def new_requests(*keys: str) -> list[Request]:
    """The requests made here; those of some correlation ids."""
    found = stack.requests(lambda mous_uid: not mous_uid.startswith(OLD))
    return [request for request in found if request.correlation_id in (keys or (request.correlation_id,))]


def check_upgrade(client: httpx.Client) -> None:
    """What the older release left can be looked at, and what it had accepted is carried out."""
    wait(
        "a request that was accepted before the upgrade has its answer",
        lambda: [r.error_code for r in old_requests() if r.correlation_id == "waiting-then"] == ["unknown_uid"],
        900,
    )
    assert len(old_requests()) == 7
    for request in old_requests():
        page = client.get(f"/mous/requests/{request.id}")
        assert page.status_code == 200, page.text
        assert request.mous_uid in page.text
    say("each request of the older release has its page")


def crash(each: str) -> Callable[[], bool]:
    """Kill a container as a crash would; what tells whether it is back and healthy."""
    before = stack.begun(each)
    stack.crash(each)
    return lambda: stack.begun(each) != before and stack.is_healthy(each)


def delivered(*keys: str) -> int:
    return sum(request.delivered for request in new_requests(*keys))


def host_of(request: Request) -> str:
    """The container in which its latest CASA run was started."""
    attempts = request.attempts()
    host = (attempts[max(attempts)] / "heartbeat").read_text() if attempts else "none"
    return next((each for each in containers("worker-casa") if each.startswith(host)), "")


def casa_run(*keys: str) -> tuple[str, str] | None:
    """A request for which CASA runs just now, by its correlation id, and where."""
    for request in new_requests(*keys):
        if (request.state, request.stage) == ("running", "run_casa") and (host := host_of(request)):
            return request.correlation_id, host
    return None


def kill_casa_and_a_delivery() -> None:
    """The worker where CASA runs is killed; then what delivers, as soon as a temporary folder is there."""
    _, casa = wait("CASA runs", casa_run, 900)
    casa_is_back = crash(casa)
    say("killed the worker where CASA runs")
    deliveries, worker = stack.volume("deliveries"), container("worker-default")
    wait("a delivery has begun", lambda: any(deliveries.rglob(".*.part")), 900, 0.005)
    worker_is_back = crash(worker)
    assert any(deliveries.rglob(".*.part")), "it was killed too late"
    say("killed what delivers")
    wait("both are back and healthy", lambda: casa_is_back() and worker_is_back())


def kill_every_other_service() -> int:
    """One at a time, with a restore under way; how many had to be asked for, so that there was one."""
    mous_uid, asked = min(request.mous_uid for request in new_requests()), 0
    for service in SERVICES:
        if not any(request.state in ("accepted", "running") for request in new_requests()):
            ask(mous_uid, f"while-{service}-dies")
            asked += 1
        wait("a restore is under way", lambda: any(request.state == "running" for request in new_requests()), 120)
        wait(f"killed {service}; it is back and healthy", crash(container(service)))
    return asked


def lose_a_casa_host_and_the_engine(broker: Broker) -> None:
    """Two restores are asked for. One CASA host goes and does not come back, then the engine is restarted."""
    asked, other = sorted({request.mous_uid for request in new_requests()})[:2]
    broker.ask(asked, KEYS[0])
    ask(other, KEYS[1])
    key, lost = wait("CASA runs again", lambda: casa_run(*KEYS), 600)
    docker("kill", lost)
    say("a CASA host is gone for good")
    subprocess.run(["bash", "-c", f"set -e; . {HERE}/engine.sh; stop_engine; start_engine"], check=True)
    say("the engine was restarted")
    wait("CASA was started anew on the other host", lambda: host_of(*new_requests(key)) not in ("", lost), 900)
    wait("both are delivered", lambda: delivered(*KEYS) == len(KEYS), 900)
    for service in (*SERVICES, "worker-default"):
        wait(f"{service} is back and healthy", lambda service=service: stack.is_healthy(container(service)), 600)
    assert fact(lost, "{{.State.Running}}") == "false"


def check_deliveries(expected: int) -> None:
    """Every delivery is whole by its checksums, nothing unfinished lies about, and each request was delivered once."""
    found = new_requests()
    assert [(request.delivered, request.ends) for request in found] == [(True, 1)] * expected, found
    assert len({request.path for request in found}) == expected
    for request in found:
        check = ("sh", "-c", 'cd "$1" && sha256sum --check --quiet SHA256SUMS', "sh")  # as the user who may enter it
        folder = str(request.path).replace(FAR_END, FAR_FOLDER)
        docker("exec", container("worker-default"), *check, folder)
    ends = stack.volume("deliveries"), stack.volume("demo") / "sftp" / "uploads"
    hidden = [path.name for end in ends for path in end.rglob(".*")]
    assert not hidden, hidden
    say(f"{expected} deliveries, each made once and whole by its checksums")


def check_mails(expected: int) -> None:
    """Each person who asked was told once how it ended."""
    subject, to = "calibrated data delivered", f"To: {REQUESTER}"
    mails = [path.read_text() for path in (stack.volume("demo") / "mails" / "new").iterdir()]
    told = [mail for mail in mails if subject in " ".join(mail.split()) and to in mail]
    assert len(told) == expected, f"{len(told)} mails of {expected}"
    say(f"{expected} mails say what was delivered to whoever asked")


def check_told(broker: Broker) -> None:
    """The asker heard of its restore, from the beginning to the one end."""

    def mine() -> list[dict[str, Any]]:
        return [event for event in broker.told() if event["cliCorrId"] == KEYS[0]]

    wait("the end was told", lambda: mine()[-1:] and mine()[-1]["state"].startswith("delivered"))
    states = [event["state"] for event in mine()]
    assert states[0] == "accepted", states
    assert [state.startswith("delivered") for state in states] == [False] * (len(states) - 1) + [True], states
    assert mine()[-1]["deliveryLocation"].startswith("/srv/alma-restore/deliveries/")
    say(f"the asker was told of its restore, in {len(states)} events")


def main() -> None:
    for service in (*SERVICES, "worker-default", "worker-casa"):
        for each in containers(service):
            wait(f"{service} is healthy", lambda each=each: stack.is_healthy(each), 600)
    assert len(containers("worker-casa")) == CASA_WORKERS
    client, broker = log_in(), Broker(CONTEXT / "secrets")
    check_secrets_stay_secret()
    broker.listen()
    check_upgrade(client)
    kill_casa_and_a_delivery()
    asked = kill_every_other_service()
    wait("everything is delivered", lambda: delivered() == RESTORABLE + asked, 1200)
    lose_a_casa_host_and_the_engine(broker)
    check_deliveries(RESTORABLE + asked + len(KEYS))
    check_mails(asked + 1)
    check_told(broker)
    assert KEYS[1] in command_line("list", "--json")
    assert "restore_mous" in {dag["dag_id"] for dag in client.get("/api/v2/dags").json()["dags"]}
    assert client.get("/mous/").status_code == 200


if __name__ == "__main__":
    main()
