"""A real RabbitMQ (Debian's package) as a private node, stopped and removed with everything it started."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pika
import pytest

from alma_restore.catalogue.store import Catalogue
from alma_restore.settings import EventsSettings

PROGRAMS = Path("/usr/lib/rabbitmq/bin")
START_LIMIT_S = 60


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One RabbitMQ node on the loopback address; it can go away and come back with what it held."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self._epmd_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        (folder / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")

    @property
    def environment(self) -> dict[str, str]:
        here = str(self.folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": here,  # the cookie lies there
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"alma-restore-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": f"{here}/data",
            "RABBITMQ_LOG_BASE": f"{here}/log",
            "RABBITMQ_CONFIG_FILE": f"{here}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here}/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_FEATURE_FLAGS": "",
        }

    def start(self) -> None:
        self._start(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)])
        self._start([str(PROGRAMS / "rabbitmq-server")])
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and all(process.poll() is None for process in self._processes):
            try:
                pika.BlockingConnection(self.parameters()).close()
            except (pika.exceptions.AMQPError, OSError):
                time.sleep(0.2)
            else:
                return
        log = (self.folder / "out").read_text(errors="replace")
        raise AssertionError(f"RabbitMQ did not start:\n{log[-3000:]}")

    def stop(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def parameters(self) -> pika.ConnectionParameters:
        return pika.ConnectionParameters("127.0.0.1", self.port, socket_timeout=5)

    def add_user(self, name: str, password: str) -> None:
        """A user who may do everything but speak in the name of others."""
        for command in (["add_user", name, password], ["set_permissions", name, ".*", ".*", ".*"]):
            subprocess.run([PROGRAMS / "rabbitmqctl", *command], env=self.environment, check=True, capture_output=True)

    def _start(self, command: list[str]) -> None:
        with (self.folder / "out").open("ab") as out:
            process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    if not (PROGRAMS / "rabbitmq-server").exists():
        pytest.skip("RabbitMQ is not installed (apt-get install --no-install-recommends rabbitmq-server)")
    folder = Path(tempfile.mkdtemp(prefix="alma-restore-mq-"))
    server = Broker(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def names(broker: Broker) -> Iterator[EventsSettings]:
    """Names of this test alone; what they named is removed afterwards."""
    mark = f"test-{time.monotonic_ns()}"
    names = EventsSettings(exchange=f"archive.events.{mark}", queue=f"requests.{mark}", dead_letters=f"dead.{mark}")
    yield names
    with pika.BlockingConnection(broker.parameters()) as connection:
        channel = connection.channel()
        channel.exchange_delete(names.exchange)
        channel.queue_delete(names.queue)
        channel.queue_delete(names.dead_letters)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue.opened(f"sqlite:///{tmp_path}/catalogue.db")
