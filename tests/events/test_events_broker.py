"""The broker: where it is, whether it lets us in, and when it is only to be waited for."""

from __future__ import annotations

import socket
import struct
import threading

import pika
import pytest

from alma_restore.client.connections import Connection
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.events import broker as brokers
from alma_restore.events.consuming import Consumer


def test_a_broker_that_does_not_let_us_in_is_told(broker, names, catalogue):
    where = brokers.parameters(Connection("amqp", "127.0.0.1", broker.port, "nobody", "nothing"))
    with pytest.raises(Misconfigured, match="does not let our user in"):
        Consumer(where, names, catalogue, lambda _: None).run(threading.Event())


def test_a_virtual_host_that_is_not_there_is_told(broker, names, catalogue):
    where = brokers.parameters(Connection("amqp", "127.0.0.1", broker.port, schema="elsewhere"))
    with pytest.raises(Misconfigured, match="does not let our user in"):
        Consumer(where, names, catalogue, lambda _: None).run(threading.Event())


def last_words(*methods):
    """What a broker that is going down says to who connects, each a method of AMQP's class `connection`."""
    channel, class_id, end = 0, 10, b"\xce"
    for method_id, arguments in methods:
        payload = struct.pack(">HH", class_id, method_id) + arguments
        yield struct.pack(">BHI", 1, channel, len(payload)) + payload + end


def long_string(text):
    return struct.pack(">I", len(text)) + text


GREETING = (10, b"\x00\x09" + long_string(b"") + long_string(b"PLAIN AMQPLAIN") + long_string(b"en_US"))
TUNE = (30, struct.pack(">HIH", 2047, 131072, 60))


def closing(code, words):
    return (50, struct.pack(">HB", code, len(words)) + words + struct.pack(">HH", 0, 0))


@pytest.mark.parametrize(
    "said",
    [
        [GREETING],
        [GREETING, TUNE],
        [GREETING, closing(320, b"CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'")],
        [GREETING, TUNE, closing(541, b"INTERNAL_ERROR - access to vhost '/' refused for user 'guest': vhost is down")],
    ],
    ids=["greets", "tunes", "is shut down", "has no virtual host yet"],
)
def test_a_broker_that_is_going_down_is_waited_for(broker, names, catalogue, said):
    """It closes while we log in, or before we are let to the virtual host."""
    met = threading.Event()

    def go_down(door):
        for words in [None, *last_words(*said)]:
            if words:
                door.sendall(words)
            door.recv(1024)
        door.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen():
            go_down(listening.accept()[0])
            met.set()

        threading.Thread(target=listen, daemon=True).start()
        where = pika.ConnectionParameters("127.0.0.1", listening.getsockname()[1], socket_timeout=5)
        with pytest.raises(NotAvailable, match="does not answer"), brokers.channel(where, names):
            pass
        assert met.wait(5)


def test_something_else_under_our_name_is_told(broker, names, catalogue):
    with pika.BlockingConnection(broker.parameters()) as connection:
        connection.channel().exchange_declare(names.exchange, exchange_type="fanout")
    with pytest.raises(Misconfigured, match=r"refuses: PRECONDITION_FAILED.*archive\.events"):
        Consumer(broker.parameters(), names, catalogue, lambda _: None).run(threading.Event())


def test_the_connection_says_where_the_broker_is():
    where = brokers.parameters(Connection("amqps", "mq.example.org", login="ada", password="secret", schema="archive"))
    assert (where.host, where.port, where.virtual_host) == ("mq.example.org", 5671, "archive")
    assert where.ssl_options.server_hostname == "mq.example.org"
    with pytest.raises(Misconfigured, match="of kind 'http'"):
        brokers.parameters(Connection("http"))
