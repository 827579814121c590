"""`alma-restore events consume` and `publish` as services beside a real RabbitMQ."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pika

EVENT = {
    "eventName": "runAlmaBasicRestoreWorkflow",
    "type": "edu.nrao.archive.workflow.messaging.commands.StartWorkflow",
    "metadata": {
        "workflowName": "AlmaOusRestoreWorkflow",
        "telescope": "ALMA",
        "ousStatusId": "uid://A001/X12d1/X23e",
        "cliCorrId": "f1a4dd4a",
    },
}


def test_an_event_is_taken_and_its_state_told_back(broker, names, catalogue, tmp_path):
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ALMA_RESTORE_", "AIRFLOW"))},
        "ALMA_RESTORE_HOME": str(tmp_path),
        "ALMA_RESTORE_CATALOGUE_URL": str(catalogue.engine.url),
        "ALMA_RESTORE_AIRFLOW_URL": "http://127.0.0.1:1",  # away: that keeps no request from being taken
        "ALMA_RESTORE_EVENTS": names.model_dump_json(),
        "AIRFLOW_CONN_ALMA_EVENTS": f"amqp://guest:guest@127.0.0.1:{broker.port}/",
    }
    program = Path(sys.executable).with_name("alma-restore")
    services = [
        subprocess.Popen([program, "events", command], env=environment, stderr=subprocess.PIPE)
        for command in ("consume", "publish")
    ]
    try:
        with pika.BlockingConnection(broker.parameters()) as connection:
            channel = connection.channel()
            channel.exchange_declare(names.exchange, exchange_type="topic", durable=True)
            channel.queue_declare("listener", exclusive=True)
            channel.queue_bind("listener", names.exchange, "alma-restore.event")
            channel.queue_declare(names.queue, durable=True)
            channel.queue_bind(names.queue, names.exchange, names.binding)
            channel.basic_publish(names.exchange, "archive.event", json.dumps(EVENT).encode())
            told = _first_of(channel, "listener")
    finally:
        for service in services:
            service.send_signal(signal.SIGTERM)
        logs = [service.communicate(timeout=20)[1].decode() for service in services]
    assert told["metadata"]["state"] == "accepted"
    assert told["metadata"]["cliCorrId"] == "f1a4dd4a"
    assert catalogue.by_correlation_id("f1a4dd4a").requested_by == names.exchange
    assert [service.returncode for service in services] == [0, 0], logs
    assert "Requests wait; they are started later." in logs[0]


def _first_of(channel, queue):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method:
            return json.loads(body)
        time.sleep(0.05)
    raise AssertionError(f"{queue} heard nothing")
