"""`alma-restore events`: without a broker it is said what to set; SIGTERM ends it in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alma_restore.cli.exits import Exit
from alma_restore.cli.main import app
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.request import RestoreRequest


@pytest.mark.parametrize("command", ["consume", "publish"])
def test_without_a_broker_it_is_said_what_to_set(surroundings, command):
    result = CliRunner().invoke(app, ["events", command])
    assert result.exit_code == Exit.MISCONFIGURED
    assert "AIRFLOW_CONN_ALMA_EVENTS is not set" in result.stderr


def test_events_are_taken_while_another_than_airflow_answers(airflow, surroundings):
    surroundings.setenv("AIRFLOW_CONN_ALMA_EVENTS", "amqp://127.0.0.1:1")
    asked = RestoreRequest(mous_uid="uid://A001/X12d1/X23e")
    airflow.page = 405, {"detail": "Method Not Allowed"}

    class OneEvent:
        def __init__(self, *given):
            self.start_run = given[-1]

        def run(self, _):
            with pytest.raises((NotAvailable, Misconfigured), match="ALMA_RESTORE_AIRFLOW_URL"):  # it waits for both
                self.start_run(asked)

    surroundings.setattr("alma_restore.events.consuming.Consumer", OneEvent)
    assert CliRunner().invoke(app, ["events", "consume"], catch_exceptions=False).exit_code == Exit.OK


@pytest.mark.parametrize("command", ["consume", "publish"])
def test_it_waits_for_a_broker_that_is_away_and_ends_when_told_to(surroundings, tmp_path, command):
    surroundings.setenv("AIRFLOW_CONN_ALMA_EVENTS", "amqp://127.0.0.1:1")
    program = Path(sys.executable).with_name("alma-restore")
    log = tmp_path / "log"
    with log.open("w") as out:
        started = subprocess.Popen([program, "events", command], stderr=out, env=dict(os.environ))
    deadline = time.monotonic() + 30
    while "does not answer" not in log.read_text():
        assert started.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    assert started.wait(10) == Exit.OK
    assert "Next try in 1 s." in log.read_text()
    assert "Traceback" not in log.read_text()
