"""docker/kubernetes/values.yaml says what docker-compose.yaml says, in the words of Airflow's official chart."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
VALUES: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker" / "kubernetes" / "values.yaml").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())
OF_THIS_HOST = {
    *("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "AIRFLOW__API__BASE_URL", "ALMA_RESTORE_AIRFLOW_URL"),
    *("AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK", "ALMA_EMBEDDED_ARCHIVE"),
    *("API_ADDRESS", "POSTGRES_ADDRESS", "REDIS_ADDRESS"),
}
"""What the chart sets by itself, or what only the demo needs."""


@pytest.fixture
def schema() -> dict[str, Any]:
    path = os.environ.get("CHART_SCHEMA")
    if not path:
        pytest.skip("CHART_SCHEMA does not name values.schema.json of Airflow's chart")
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def test_the_chart_takes_the_values(schema: dict[str, Any]) -> None:
    assert set(VALUES) <= set(schema["properties"])
    jsonschema.validate(VALUES, schema)


def test_the_chart_takes_each_set_of_workers(schema: dict[str, Any]) -> None:
    """The schema leaves a set open; it takes what `workers.celery` takes."""
    celery = {**schema["properties"]["workers"]["properties"]["celery"], "definitions": schema["definitions"]}
    for each in VALUES["workers"]["celery"]["sets"]:
        values = {name: value for name, value in each.items() if name != "name"}
        assert set(values) <= set(celery["properties"])
        jsonschema.validate(values, celery)


def test_the_settings_are_those_of_docker_compose() -> None:
    wanted = {
        name: re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", str(value))
        for name, value in COMPOSE["x-airflow"]["environment"].items()
    }
    assert {each["name"]: each["value"] for each in VALUES["env"]} == {
        name: value for name, value in wanted.items() if name not in OF_THIS_HOST
    }
    assert f"apache-airflow=={VALUES['airflowVersion']}" in (CHECKOUT / "requirements.txt").read_text().splitlines()


def test_each_queue_has_its_workers_and_time_to_finish() -> None:
    celery = VALUES["workers"]["celery"]
    graces = {celery["queue"]: celery["terminationGracePeriodSeconds"]}
    graces |= {each["queue"]: each.get("terminationGracePeriodSeconds", graces["default"]) for each in celery["sets"]}
    hours = {name: re.search(r"(\d+)h", COMPOSE["services"][f"worker-{name}"]["stop_grace_period"]) for name in graces}
    assert graces == {name: int(found.group(1)) * 3600 for name, found in hours.items() if found}


def test_no_secret_stands_in_the_values() -> None:
    named = [each["name"] for each in VALUES["env"] if re.search("PASSWORD|SECRET|TOKEN|_KEY|_URL", each["name"])]
    assert named == []
    assert VALUES["createUserJob"] == {"enabled": False}, "the chart's own first user is admin with the password admin"
