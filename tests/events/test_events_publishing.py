"""Changes of state on a real RabbitMQ: each told under its correlation id, none lost, across restarts none twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pika
import pytest

from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.events import broker as brokers
from alma_restore.events import publishing
from alma_restore.events.publishing import Publisher, only_publisher
from alma_restore.request import RestoreRequest


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(publishing, "POLL_S", 0.02)
    monkeypatch.setattr(brokers, "LONGEST_WAIT_S", 0.2)


class Listener:
    """A queue of another application, bound to what we tell."""

    def __init__(self, broker, names):
        self.broker, self.names, self.queue = broker, names, f"listener.{names.queue}"
        with pika.BlockingConnection(broker.parameters()) as connection:
            channel = connection.channel()
            channel.exchange_declare(names.exchange, exchange_type="topic", durable=True)
            channel.queue_declare(self.queue, durable=True, arguments={"x-expires": 60_000})
            channel.queue_bind(self.queue, names.exchange, "alma-restore.event")

    def heard(self):
        """The messages since the last time: properties and event."""
        found = []
        with pika.BlockingConnection(self.broker.parameters()) as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(self.queue, auto_ack=True)
                if method is None:
                    return found
                found.append((properties, json.loads(body)))


@pytest.fixture
def listener(broker, names) -> Listener:
    return Listener(broker, names)


def publish_until(broker, names, catalogue, fact: Callable[[], object]):
    """A publisher at work until something is so."""
    stop = threading.Event()
    publisher = Publisher(broker.parameters(), names, catalogue)
    worker = threading.Thread(target=publisher.run, args=(stop,))
    worker.start()
    deadline = time.monotonic() + 30
    try:
        while not fact():
            assert time.monotonic() < deadline, "it did not come about"
            time.sleep(0.02)
    finally:
        stop.set()
        worker.join(20)
        assert not worker.is_alive()


def all_told(catalogue):
    return lambda: catalogue.cursor(publishing.CURSOR) == str(catalogue.last_change())


def ask(catalogue, correlation_id):
    return catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X12d1/X23e", correlation_id=correlation_id))


def test_each_change_is_told_under_the_correlation_id_it_came_with(broker, names, catalogue, listener):
    request = ask(catalogue, "f1a4dd4a")
    catalogue.set_workspace(request.id, "/spool/uid___A002_Xd248b5_Xa7a")
    catalogue.start_stage(request.id, "run_casa")
    catalogue.record_delivery(
        request.id, destination="", path="/deliveries/1", size_bytes=1, files=1, sha256="", expires_at=None
    )
    catalogue.finish(request.id)
    publish_until(broker, names, catalogue, all_told(catalogue))
    heard = listener.heard()
    told = [(event["metadata"]["state"], event["metadata"]["stage"]) for _, event in heard]
    assert told == [("accepted", ""), ("running", "run_casa"), ("delivered", "run_casa")]
    properties, event = heard[-1]
    assert properties.correlation_id == event["metadata"]["cliCorrId"] == "f1a4dd4a"
    assert event["metadata"]["deliveryLocation"] == "/deliveries/1"
    assert event["metadata"]["spoolFolder"] == "/spool/uid___A002_Xd248b5_Xa7a"
    assert event["metadata"]["requestNumber"] == request.number
    assert "deliveryLocation" not in heard[0][1]["metadata"]
    assert len({properties.message_id for properties, _ in heard}) == 3


def test_a_correlation_id_longer_than_a_message_can_say_is_cut_between_letters(broker, names, catalogue, listener):
    keys = ["復元" * 64, "plain"]
    for key in keys:
        ask(catalogue, key)
    publish_until(broker, names, catalogue, all_told(catalogue))
    (long, event), (plain, _) = listener.heard()
    assert [long.correlation_id, plain.correlation_id] == [keys[0][:85], "plain"]
    assert event["metadata"]["cliCorrId"] == keys[0]


def test_a_refusal_tells_its_reason(broker, names, catalogue, listener):
    request = ask(catalogue, "key")
    catalogue.fail(request.id, NotAvailable("NGAS is away."), "fetch_products")
    publish_until(broker, names, catalogue, all_told(catalogue))
    assert listener.heard()[-1][1]["metadata"]["note"] == "NGAS is away."


def test_a_restart_loses_nothing_and_tells_nothing_twice(broker, names, catalogue, listener):
    request = ask(catalogue, "key")
    publish_until(broker, names, catalogue, all_told(catalogue))
    catalogue.start_stage(request.id, "fetch_asdm")
    publish_until(broker, names, catalogue, all_told(catalogue))
    catalogue.start_stage(request.id, "run_casa")
    publish_until(broker, names, catalogue, all_told(catalogue))
    stages = [event["metadata"]["stage"] for _, event in listener.heard()]
    assert stages == ["", "fetch_asdm", "run_casa"]


def test_what_a_crash_leaves_unremembered_is_told_again_under_the_same_id(broker, names, catalogue, listener):
    ask(catalogue, "key")
    publish_until(broker, names, catalogue, all_told(catalogue))
    catalogue.set_cursor(publishing.CURSOR, "0")
    publish_until(broker, names, catalogue, all_told(catalogue))
    first, again = listener.heard()
    assert first[0].message_id == again[0].message_id


def test_changes_while_the_broker_is_away_are_told_when_it_is_back(broker, names, catalogue, listener):
    request = ask(catalogue, "key")
    worked = threading.Event()

    def restart():
        if all_told(catalogue)() and not worked.is_set():
            broker.stop()
            catalogue.start_stage(request.id, "run_casa")
            broker.start()
            worked.set()
        return worked.is_set() and all_told(catalogue)()

    publish_until(broker, names, catalogue, restart)
    assert [event["metadata"]["stage"] for _, event in listener.heard()] == ["", "run_casa"]


def test_the_past_can_be_skipped_but_only_at_the_very_first(broker, names, catalogue, listener):
    ask(catalogue, "past")
    publisher = Publisher(broker.parameters(), names, catalogue)
    publisher.skip_the_past()
    ask(catalogue, "now")
    publisher.skip_the_past()
    publish_until(broker, names, catalogue, all_told(catalogue))
    assert [event["metadata"]["cliCorrId"] for _, event in listener.heard()] == ["now"]


def test_a_second_publisher_is_kept_out(tmp_path):
    with only_publisher(tmp_path), pytest.raises(Misconfigured, match="Another publisher"), only_publisher(tmp_path):
        pass
    with only_publisher(tmp_path):
        pass
