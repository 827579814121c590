"""StartWorkflow events from a real RabbitMQ: stored, acknowledged, started, once each; or put aside with the reason."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pika
import pytest

from alma_restore.catalogue.store import Catalogue
from alma_restore.client.connections import Connection
from alma_restore.client.rest import AirflowRest, Credentials
from alma_restore.errors import NotAvailable, Refused
from alma_restore.events import broker as brokers
from alma_restore.events import consuming
from alma_restore.events.consuming import Consumer

EVENT = {
    "eventName": "runAlmaBasicRestoreWorkflow",
    "type": "edu.nrao.archive.workflow.messaging.commands.StartWorkflow",
    "additionalPaths": [],
    "metadata": {
        "workflowName": "AlmaOusRestoreWorkflow",
        "processingSite": "NAASC",
        "deliveryFormat": "CMS",
        "telescope": "ALMA",
        "fileSetIds": ["uid://A002/Xd248b5/Xa7a"],
        "ousStatusId": "uid://A001/X12d1/X23e",
        "projectCodeOrDataType": "2017.1.00370.S",
        "cliCorrId": "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab",
        "casaHome": "/home/casa/packages/RHEL6/release/casa-release-5.4.0-68",
    },
}


def event(correlation_id="f1a4dd4a-73ae-4aa7-ac30-9397d31dadab", **metadata):
    return {**EVENT, "metadata": {**EVENT["metadata"], "cliCorrId": correlation_id, **metadata}}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(consuming, "IDLE_S", 0.05)
    monkeypatch.setattr(consuming, "RUNS_EVERY_S", 0.1)
    monkeypatch.setattr(brokers, "LONGEST_WAIT_S", 0.2)


@contextmanager
def consuming_with(broker, names, catalogue, start_run=lambda _: None) -> Iterator[Consumer]:
    """A consumer at work."""
    with consuming_as(broker.parameters(), broker, names, catalogue, start_run) as consumer:
        yield consumer


@contextmanager
def consuming_as(where, broker, names, catalogue, start_run=lambda _: None) -> Iterator[Consumer]:
    """A consumer at work, as the user that `where` names."""
    stop = threading.Event()
    consumer = Consumer(where, names, catalogue, start_run)
    worker = threading.Thread(target=consumer.run, args=(stop,))
    worker.start()
    try:
        until(lambda: depth(broker, names.queue) is not None)
        yield consumer
    finally:
        stop.set()
        worker.join(20)
        assert not worker.is_alive()


def until(fact: Callable[[], object], limit_s: float = 30):
    deadline = time.monotonic() + limit_s
    while not (found := fact()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def publish(broker, names, *bodies, key="archive.event", **properties):
    said = pika.BasicProperties(app_id="aat", delivery_mode=2, **properties)
    with pika.BlockingConnection(broker.parameters()) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        for body in bodies:
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            channel.basic_publish(names.exchange, key, text, said)


def depth(broker, queue) -> int | None:
    """Messages that wait in a queue; None when it is not there."""
    with pika.BlockingConnection(broker.parameters()) as connection:
        try:
            return connection.channel().queue_declare(queue, passive=True).method.message_count
        except pika.exceptions.ChannelClosedByBroker:
            return None


def dead_letters(broker, names):
    with pika.BlockingConnection(broker.parameters()) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(names.dead_letters, auto_ack=True)
            if method is None:
                return
            yield properties.headers, body


def test_an_event_becomes_a_stored_request_with_a_run(broker, names, catalogue):
    started = []
    with consuming_with(broker, names, catalogue, started.append):
        publish(broker, names, EVENT)
        record = until(lambda: catalogue.by_correlation_id(EVENT["metadata"]["cliCorrId"]))
        until(lambda: catalogue.get(record.id).run_id)
    assert (record.mous_uid, record.origin, record.requested_by) == ("uid://A001/X12d1/X23e", "event", "aat")
    assert [asked.casa_version for asked in started] == ["5.4.0-68"]
    assert catalogue.get(record.id).run_id == started[0].run_id
    assert depth(broker, names.queue) == 0


def test_an_event_with_a_byte_order_mark_is_an_event(broker, names, catalogue):
    with consuming_with(broker, names, catalogue):
        publish(broker, names, json.dumps(event("marked", userEmail=None)).encode("utf-8-sig"))
        until(lambda: catalogue.by_correlation_id("marked"))
    assert depth(broker, names.dead_letters) == 0


def test_the_same_event_many_times_is_one_request_and_one_run(broker, names, catalogue):
    started = []
    with consuming_with(broker, names, catalogue, started.append):
        publish(broker, names, *[EVENT] * 5)
        until(lambda: catalogue.find().total)
        until(lambda: depth(broker, names.queue) == 0 and catalogue.find().requests[0].run_id)
    assert catalogue.find().total == 1
    assert len(started) == 1


def test_what_cannot_be_read_is_put_aside_with_the_reason_and_stops_nobody(broker, names, catalogue):
    wrong = [b"no JSON", b"[1]", b"\xff\xfe", b"[" * 100_000, event(ousStatusId="nonsense"), event(telescope="VLA")]
    with consuming_with(broker, names, catalogue):
        publish(broker, names, *wrong, event("good"))
        until(lambda: catalogue.by_correlation_id("good"))
        until(lambda: depth(broker, names.dead_letters) == len(wrong))
    aside = list(dead_letters(broker, names))
    assert [body for _, body in aside[:3]] == wrong[:3]
    reasons = [headers["x-reason"] for headers, _ in aside]
    assert "no JSON" in reasons[0]
    assert "nonsense" in reasons[4]
    assert "VLA" in reasons[5]
    assert {headers["x-code"] for headers, _ in aside} == {"bad_event"}
    assert {headers["x-routing-key"] for headers, _ in aside} == {"archive.event"}
    assert catalogue.find().total == 1


def test_what_another_user_sent_is_put_aside_and_names_them(broker, names, catalogue):
    broker.add_user("restore", "password")
    where = brokers.parameters(Connection("amqp", "127.0.0.1", broker.port, "restore", "password"))
    with consuming_as(where, broker, names, catalogue):
        publish(broker, names, b"no JSON", user_id="guest")
        publish(broker, names, event("good"))
        until(lambda: catalogue.by_correlation_id("good"))
    ((headers, body),) = dead_letters(broker, names)
    assert (body, headers["x-user-id"]) == (b"no JSON", "guest")


def test_what_would_expire_is_put_aside_to_stay(broker, names, catalogue):
    with consuming_with(broker, names, catalogue):
        publish(broker, names, b"no JSON", expiration="1500")
        until(lambda: depth(broker, names.dead_letters))
        time.sleep(2)
    ((headers, _),) = dead_letters(broker, names)
    assert headers["x-expiration"] == "1500"


def test_what_concerns_others_is_left_to_them(broker, names, catalogue):
    others = [
        {"eventName": "ingestionComplete", "type": "edu.nrao.archive.ingest.Complete", "metadata": {}},
        {**EVENT, "metadata": {"workflowName": "VlassRestoreWorkflow"}},
    ]
    with consuming_with(broker, names, catalogue):
        publish(broker, names, *others, event("ours"))
        until(lambda: catalogue.by_correlation_id("ours"))
        publish(broker, names, event("elsewhere"), key="archive.event.copy")
    assert depth(broker, names.dead_letters) == 0
    assert catalogue.find().total == 1


def test_an_event_whose_request_cannot_be_stored_is_not_acknowledged(broker, names, catalogue, monkeypatch):
    away = threading.Event()
    away.set()
    open_request = Catalogue.open_request

    def unwilling(self, *args):
        if away.is_set():
            raise NotAvailable("The catalogue does not answer.")
        return open_request(self, *args)

    monkeypatch.setattr(Catalogue, "open_request", unwilling)
    with consuming_with(broker, names, catalogue):
        publish(broker, names, EVENT)
        time.sleep(0.5)
        assert catalogue.find().total == 0
        away.clear()
        until(lambda: catalogue.find().total)
        until(lambda: depth(broker, names.queue) == 0)
    assert depth(broker, names.dead_letters) == 0


def test_runs_are_started_once_airflow_is_back_even_after_a_restart(broker, names, catalogue):
    def away(_):
        raise NotAvailable("Airflow does not answer.")

    with consuming_with(broker, names, catalogue, away):
        publish(broker, names, EVENT)
        until(lambda: catalogue.find().total)
        until(lambda: depth(broker, names.queue) == 0)  # stored, hence acknowledged
    assert catalogue.find().requests[0].run_id is None
    started = []
    with consuming_with(broker, names, catalogue, started.append):
        until(lambda: started)


def test_a_request_that_airflow_will_never_take_ends_with_its_reason(broker, names, catalogue):
    def refusing(asked):
        if asked.correlation_id == "bad":
            raise Refused("Airflow answers 400: no.", code="bad_request")

    with consuming_with(broker, names, catalogue, refusing):
        publish(broker, names, event("bad"), event("good"))
        until(lambda: (good := catalogue.by_correlation_id("good")) and good.run_id)
    bad = catalogue.by_correlation_id("bad")
    assert (bad.state, bad.reason) == ("refused", "Airflow answers 400: no.")


def test_a_lack_of_permission_ends_no_request(broker, names, catalogue):
    def refusing(_):
        raise Refused("Airflow answers 403: Forbidden.", code="not_allowed")

    with consuming_with(broker, names, catalogue, refusing):
        publish(broker, names, EVENT)
        until(lambda: catalogue.find().total)
        time.sleep(0.3)
    assert catalogue.find().requests[0].state == "accepted"


@contextmanager
def airflow_that_answers(answers=(), always=None):
    """Starts runs at an Airflow that gives these answers, a status and a body each, and then does as it is asked.

    Args:
        always: what it answers, however often it is asked, about some runs.
    """
    answers = [*answers]

    class Airflow(BaseHTTPRequestHandler):
        def do_POST(self):
            run_id = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dag_run_id"]
            next_answer = answers.pop(0) if answers else (200, b"{}")
            status, body = (always or {}).get(run_id, next_answer)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Airflow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rest = AirflowRest(f"http://127.0.0.1:{server.server_port}", Credentials())
    try:
        yield lambda asked: rest.trigger(asked.run_id, asked.as_conf())
    finally:
        server.shutdown()
        server.server_close()


def says(detail):
    return json.dumps({"detail": detail}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        (400, says("Dag with dag_id: 'restore_mous' has import errors and cannot be triggered")),
        (400, says("Dag with dag_id: 'restore_mous' does not allow manual runs")),
        (400, b"<h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port"),
        (301, b""),
        (404, says("Dag with dag_id: 'restore_mous' not found")),
        (405, says("Method Not Allowed")),
        (408, b""),
        (425, b""),
        (429, b""),
        (503, b""),
    ],
    ids=lambda answer: f"{answer[0]} {answer[1].decode()[:60]}",
)
def test_what_airflow_says_of_itself_ends_no_request(broker, names, catalogue, answer):
    with airflow_that_answers([answer] * 2) as start_run, consuming_with(broker, names, catalogue, start_run):
        publish(broker, names, event("one"), event("two"))
        for key in ("one", "two"):
            until(lambda key=key: (record := catalogue.by_correlation_id(key)) and record.run_id)
    assert {record.state for record in catalogue.find().requests} == {"accepted"}


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (400, "Invalid input for param split: Dag with dag_id: 'x' has import errors\n\nFailed validating"),
        (422, [{"loc": ["body", "conf"], "msg": "Input should be a valid dictionary", "type": "dict_type"}]),
    ],
)
def test_what_airflow_says_of_a_request_ends_it_alone(broker, names, catalogue, status, detail):
    bad, good = event("bad", userEmail="ada@example.org"), event("good")
    always = {"restore__bad": (status, says(detail))}
    with airflow_that_answers(always=always) as start_run, consuming_with(broker, names, catalogue, start_run):
        publish(broker, names, bad, good)
        until(lambda: (record := catalogue.by_correlation_id("bad")) and record.ended)
        until(lambda: (record := catalogue.by_correlation_id("good")) and record.run_id)
    record = catalogue.by_correlation_id("bad")
    assert (record.state, record.error_code) == ("refused", "bad_request")
    assert f"answers {status}" in record.reason


def test_a_broker_that_went_away_is_found_again_and_lost_nothing(broker, names, catalogue):
    with consuming_with(broker, names, catalogue):
        publish(broker, names, event("before"))
        until(lambda: catalogue.by_correlation_id("before"))
        broker.stop()
        broker.start()
        publish(broker, names, event("after"))
        until(lambda: catalogue.by_correlation_id("after"))
