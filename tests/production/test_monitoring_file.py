"""docker/monitoring/compose.yaml adds Prometheus and Grafana to docker-compose.yaml, and what they need of Airflow."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
FILE = CHECKOUT / "docker" / "monitoring" / "compose.yaml"
ADDED = yaml.safe_load(FILE.read_text())
SYSTEM = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
NEW = {"prometheus", "grafana"}


def test_it_adds_two_services_and_changes_those_that_are_there() -> None:
    assert set(ADDED["services"]) - set(SYSTEM["services"]) == NEW
    assert set(ADDED["secrets"]).isdisjoint(SYSTEM["secrets"])


@pytest.mark.parametrize("name", sorted(NEW))
def test_a_service_is_pinned_bounded_watched_and_for_this_host_alone(name: str) -> None:
    service = ADDED["services"][name]
    assert ":latest" not in service["image"]
    assert service["mem_limit"]
    assert service["cpus"]
    assert service["cap_drop"] == ["ALL"]
    assert "grep" in service["healthcheck"]["test"][1], "a health check reads what the service says"
    assert all(port.startswith("${MONITORING_LISTEN:-127.0.0.1}:") for port in service["ports"])
    for volume in service["volumes"]:
        source = volume.split(":")[0]
        assert (CHECKOUT / source).exists() if source.startswith("./") else source in ADDED["volumes"]


def test_prometheus_and_airflow_share_one_token() -> None:
    token_file = ADDED["services"]["api-server"]["environment"]["ALMA_RESTORE_METRICS__TOKEN_FILE"]
    (scrape,) = yaml.safe_load((FILE.parent / "prometheus.yml").read_text())["scrape_configs"]
    assert scrape["authorization"]["credentials_file"] == token_file == "/run/secrets/metrics_token"
    assert all("metrics_token" in ADDED["services"][name]["secrets"] for name in ("api-server", "prometheus"))


def test_the_secrets_are_made_by_the_same_command(tmp_path: Path) -> None:
    make = CHECKOUT / "docker" / "make-secrets.sh"
    subprocess.run([make, tmp_path, *ADDED["secrets"]], check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} >= set(ADDED["secrets"]) | set(SYSTEM["secrets"])
    assert all(len((tmp_path / name).read_text()) >= 32 for name in ADDED["secrets"])


def test_compose_itself_accepts_both_files() -> None:
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not installed (apt-get install docker-compose)")
    command = [program, "-f", "docker-compose.yaml", "-f", str(FILE), "config"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)
    assert done.returncode == 0, done.stderr
    merged = yaml.safe_load(done.stdout)["services"]
    assert "metrics_token" in str(merged["api-server"]["secrets"])
    assert "jwt_secret" in str(merged["api-server"]["secrets"])
    assert merged["scheduler"]["environment"]["AIRFLOW__METRICS__OTEL_ON"] == "True"
