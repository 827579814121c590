"""What docker-compose.yaml promises, read from the file; `./run test-compose` runs it for real."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alma_restore import settings
from alma_restore.client import connections
from alma_restore.errors import Misconfigured

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docker-compose.yaml"
MAKE_SECRETS = CHECKOUT / "docker" / "make-secrets.sh"
ENTRYPOINT = CHECKOUT / "docker" / "entrypoint.sh"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"init", "demo-archive"}
LASTING = sorted(set(SERVICES) - ONE_SHOT)
EVENTS = {"rabbitmq", "events-consume", "events-publish"}
WORKERS = ("worker-default", "worker-archive", "worker-casa")


def by_default(value: str) -> str:
    """What compose makes of `${NAME:-default}` where nobody sets NAME."""
    return re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", value)


def test_every_part_of_the_system_is_there() -> None:
    plain = {name for name, service in SERVICES.items() if "profiles" not in service}
    airflow = {"init", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert plain == {"postgres", "redis", *airflow, *WORKERS}
    profiles = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert {name for name, its in profiles.items() if its == ["events"]} == EVENTS
    assert {name for name, its in profiles.items() if its == ["demo"]} >= {"demo-archive", "demo-ngas", "demo-mail"}
    assert all(len(its) == 1 for its in profiles.values())


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_service_is_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    check = " ".join(service["healthcheck"]["test"])
    assert "healthy.py" in check or "grep -qx" in check, "a health check reads what the service says"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_takes_the_host_for_itself(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["logging"]["options"]["max-size"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid"} & set(service)


# Not even root writes to the official broker's image; whether it starts so has not been tried.
@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"rabbitmq"}))
def test_what_a_container_writes_lies_on_a_volume_or_in_memory(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert any(mount.startswith("/tmp") for mount in SERVICES[name]["tmpfs"])


def test_two_workers_on_one_spool_never_share_a_host_name() -> None:
    assert not [name for name in WORKERS if "hostname" in SERVICES[name]], "a worker can be scaled"


def test_each_queue_has_its_worker_and_time_to_finish() -> None:
    environment = COMPOSE["x-airflow"]["environment"]
    queues = {name: SERVICES[name]["command"][4] for name in WORKERS}
    assert queues == {"worker-default": "default", "worker-archive": "archive", "worker-casa": "casa"}
    assert (environment["ALMA_RESTORE_QUEUES__ARCHIVE"], environment["ALMA_RESTORE_QUEUES__CASA"]) == (
        "archive",
        "casa",
    )
    for name in WORKERS:
        assert SERVICES[name]["stop_signal"] == "SIGTERM"
        assert re.search(r"\d+h", SERVICES[name]["stop_grace_period"])
    visible_s = environment["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]
    assert visible_s > 48 * 3600, "Redis would hand a running CASA to a second worker"
    queued_s = environment["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]
    assert queued_s > 48 * 3600, "Airflow would fail what waits for a busy worker"


def test_the_load_tests_engine_cannot_be_used_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**COMPOSE["x-airflow"]["environment"], "ALMA_RESTORE_LOAD_TEST": "true"}.items():
        if name.startswith("ALMA_RESTORE_"):
            monkeypatch.setenv(name, by_default(value))
    with pytest.raises(Misconfigured, match="production and load_test exclude each other"):
        settings.load()


def test_everything_that_must_last_lies_on_a_volume() -> None:
    for name in WORKERS:
        mounted = {volume.rpartition(":")[2] for volume in SERVICES[name]["volumes"]}
        assert {"/srv/alma-restore/spool", "/srv/alma-restore/deliveries", "/srv/airflow/logs"} <= mounted
    assert SERVICES["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    assert SERVICES["rabbitmq"]["volumes"] == ["rabbitmq:/var/lib/rabbitmq"]
    assert SERVICES["rabbitmq"]["hostname"], "the broker's data lie under the name of its host"


def test_only_airflow_is_reachable_and_only_from_this_host() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api-server"]
    assert SERVICES["api-server"]["ports"] == ["${LISTEN:-127.0.0.1}:${AIRFLOW_PORT:-8080}:8080"]


def test_secrets_come_from_files_that_git_and_images_never_see() -> None:
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} == {f"./secrets/{n}" for n in COMPOSE["secrets"]}
    assert "/secrets/" in (CHECKOUT / ".gitignore").read_text().splitlines()
    assert (CHECKOUT / ".dockerignore").read_text().splitlines()[1] == "*"
    for service in SERVICES.values():
        named = [name for name in service.get("environment", {}) if re.search("PASSWORD|SECRET|KEY|TOKEN", name)]
        assert all(name.endswith("_FILE") for name in named)


def test_images_are_pinned_and_run_as_an_ordinary_user() -> None:
    dockerfile = (CHECKOUT / "docker" / "Dockerfile").read_text()
    assert ":latest" not in dockerfile + FILE.read_text()
    for target in ("system", "demo"):
        assert re.search(rf"AS {target}\n(?:(?!FROM ).*\n)*USER 50000:0", dockerfile)
    assert re.findall(r"FROM (\w+) AS (?:airflow|casa|demo)\n", dockerfile) == ["system"] * 3


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run([MAKE_SECRETS, folder], check=True, capture_output=True)
    return folder


def test_making_secrets_makes_each_once(secrets: Path) -> None:
    made = {path.name: path.read_text() for path in secrets.iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert len(set(made.values())) == len(made)
    assert secrets.stat().st_mode & 0o777 == 0o700
    subprocess.run([MAKE_SECRETS, secrets], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == made


def start(secrets: Path, tmp_path: Path, variable: str, **given: str) -> subprocess.CompletedProcess[str]:
    """The entry point as in a container, with another place for the secrets; the command tells a variable."""
    script = tmp_path / "entrypoint.sh"
    script.write_text(ENTRYPOINT.read_text().replace("/run/secrets", str(secrets)))
    tell = ["sh", script, "sh", "-c", f'echo "${{{variable}:-}}"']
    return subprocess.run(tell, capture_output=True, text=True, env={"PATH": os.environ["PATH"], **given})


def test_a_container_starts_with_good_secrets(secrets: Path, tmp_path: Path) -> None:
    broker = start(secrets, tmp_path, "AIRFLOW__CELERY__BROKER_URL").stdout
    assert broker == f"redis://:{(secrets / 'redis_password').read_text()}@redis:6379/0\n"


def test_only_the_services_at_rabbitmq_get_its_password(secrets: Path, tmp_path: Path) -> None:
    names = {name: value for name, value in COMPOSE["x-events"]["environment"].items() if name.startswith("RABBITMQ")}
    given = {name: by_default(value) for name, value in names.items()}
    broker = start(secrets, tmp_path, "AIRFLOW_CONN_ALMA_EVENTS", **given).stdout
    assert broker == f"amqp://alma-restore:{(secrets / 'rabbitmq_password').read_text()}@rabbitmq:5672\n"
    assert start(secrets, tmp_path, "AIRFLOW_CONN_ALMA_EVENTS").stdout == "\n"
    holders = {name for name, service in SERVICES.items() if "rabbitmq_password" in service.get("secrets", [])}
    assert holders == EVENTS


@pytest.mark.parametrize(
    "password", ["Tr0ub4dor#3-archive", "p@ssw0rd/archive-2026", "50%41cme-archive-2026", "a b:c?d&e-f+g\"h'i"]
)
def test_a_password_of_ones_own_reaches_the_broker_as_it_is(secrets: Path, tmp_path: Path, password: str) -> None:
    (secrets / "rabbitmq_password").chmod(0o600)
    (secrets / "rabbitmq_password").write_text(password)
    given = {"RABBITMQ_SCHEME": "amqps", "RABBITMQ_USER": "restore", "RABBITMQ_ADDRESS": "broker.example.org:5671"}
    uri = start(secrets, tmp_path, "AIRFLOW_CONN_ALMA_EVENTS", **given).stdout
    read = connections.connection("alma_events", {"AIRFLOW_CONN_ALMA_EVENTS": uri})
    assert read is not None
    assert (read.host, read.port, read.password) == ("broker.example.org", 5671, password)


def test_settings_that_kubernetes_gives_stay(secrets: Path, tmp_path: Path) -> None:
    given = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://elsewhere",
        "AIRFLOW__CELERY__BROKER_URL": "redis://x",
    }
    assert start(secrets / "none", tmp_path, "AIRFLOW__CELERY__BROKER_URL", **given).stdout == "redis://x\n"


@pytest.mark.parametrize("bad", ["", "admin", "please-change-me-soon"])
@pytest.mark.parametrize("name", sorted(COMPOSE["secrets"]))
def test_a_container_refuses_a_default_secret(secrets: Path, tmp_path: Path, name: str, bad: str) -> None:
    (secrets / name).chmod(0o600)
    (secrets / name).write_text(bad)
    refused = start(secrets, tmp_path, "PATH")
    assert refused.returncode == 78
    assert name in refused.stderr
    assert not refused.stdout


@pytest.mark.parametrize("name", ["airflow_db_password", "catalogue_db_password", "redis_password"])
def test_a_container_refuses_to_start_without_what_it_needs(secrets: Path, tmp_path: Path, name: str) -> None:
    (secrets / name).unlink()
    refused = start(secrets, tmp_path, "PATH")
    assert (refused.returncode, name in refused.stderr) == (78, True)


def test_what_signs_and_decrypts_stays_away_from_casa_and_the_exporter() -> None:
    for name in WORKERS:
        assert not {"jwt_secret", "fernet_key"} & set(SERVICES[name]["secrets"])


def test_compose_itself_accepts_the_file() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed (apt-get install docker-compose)")
    command = [program, "-f", str(FILE), "--profile", "demo", "--profile", "events", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
