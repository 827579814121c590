"""A real PostgreSQL and a real Redis (Debian's packages) on the loopback address, each in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from alma_restore.demo.small_airflow import SmallAirflow, free_port

WAIT_LIMIT_S = 300.0


@dataclass
class Running:
    """An Airflow at work, and somebody who waits for what it does."""

    airflow: SmallAirflow

    def wait(self, what: str, seen: Callable[[], Any]) -> Any:
        """Wait until something is seen; answers it. Fails when it takes too long, or a part of Airflow has ended."""
        deadline = time.monotonic() + WAIT_LIMIT_S
        while not (found := seen()):
            self.airflow.check_alive()
            assert time.monotonic() < deadline, f"waited in vain: {what}"
            time.sleep(0.2)
        return found


@contextmanager
def postgresql(*databases: str) -> Iterator[str]:
    """A server with these databases; answers `host:port` with its user, as a URL has it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder, port = Path(tempfile.mkdtemp(prefix="alma-restore-pg-")), free_port()
    if not os.getuid():
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)

    def run(program: str, *arguments: str) -> None:
        command = _as_user("postgres", [str(found[-1].with_name(program)), *arguments])
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")

    data = str(folder / "data")
    try:
        run("initdb", "-U", "alma", "-A", "trust", "-N", "-E", "UTF8", data)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            for database in databases:
                run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "alma", database)
            yield f"alma@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def crash(server: str, down_s: float) -> None:
    """End a PostgreSQL at once, as a fault of its machine does, and start it again after a while.

    Args:
        server: as `postgresql` answers it.
    """
    port = int(server.rpartition(":")[2])
    listening = (each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
    postmaster = psutil.Process(next(each.pid for each in listening if each.laddr.port == port))
    command, user = postmaster.cmdline(), postmaster.username()
    family = [postmaster, *postmaster.children(recursive=True)]
    postmaster.send_signal(signal.SIGQUIT)  # no farewell, no checkpoint: it recovers when it starts
    psutil.wait_procs(family, timeout=30)
    time.sleep(down_s)
    subprocess.Popen(
        _as_user(user, command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )


def _as_user(user: str, command: list[str]) -> list[str]:
    """initdb and postgres refuse to run as root."""
    return command if os.getuid() else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]


@contextmanager
def redis() -> Iterator[str]:
    """A server; answers its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed (apt-get install redis-server)")
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", tempfile.gettempdir()]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for_pong(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for_pong(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, "Redis does not answer"
        time.sleep(0.05)
