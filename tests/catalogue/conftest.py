"""A catalogue on SQLite and on a real PostgreSQL (Debian's packages), each test with a fresh one."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.store import Catalogue
from alma_restore.request import RestoreRequest


def postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def as_postgres(command: list[str]) -> list[str]:
    """initdb and postgres refuse to run as root."""
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command] if not os.getuid() else command
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a server's database."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="alma-restore-pg-"))
    if not os.getuid():
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
    data, port = folder / "data", free_port()
    start = ["-o", f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=50"]
    try:
        initdb = [str(programs / "initdb"), "-U", "alma", "-A", "trust", "-N", "-E", "UTF8", str(data)]
        subprocess.run(as_postgres(initdb), check=True, capture_output=True, cwd="/")
        pg_ctl = [str(programs / "pg_ctl"), "-D", str(data), "-w"]
        started = as_postgres([*pg_ctl, "-l", str(folder / "log"), *start, "start"])
        subprocess.run(started, check=True, stdout=subprocess.DEVNULL, cwd="/")
        try:
            yield f"postgresql+psycopg://alma@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(as_postgres([*pg_ctl, "-m", "immediate", "stop"]), check=True, capture_output=True, cwd="/")
    finally:
        shutil.rmtree(folder)


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables; on PostgreSQL a schema of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/with blank/catalogue.db"
    server = request.getfixturevalue("postgres_url")
    schema = f"test_{next(_numbers)}"
    with create_engine(server, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    return f"{server}?options=-csearch_path%3D{schema}"


@pytest.fixture
def url(empty_url: str) -> str:
    migrate(empty_url)
    return empty_url


@pytest.fixture
def catalogue(url: str) -> Catalogue:
    return Catalogue(url)


@pytest.fixture
def asked() -> RestoreRequest:
    return RestoreRequest(mous_uid="uid://A001/X12d1/X23e", email="ada@example.org", requested_by="ada")


@pytest.fixture
def side_by_side() -> Callable[..., list[Any]]:
    """Does one thing in several processes at the same moment; answers what each of them got."""
    context = multiprocessing.get_context("fork")

    def run(action: Callable[[], Any], processes: int) -> list[Any]:
        answers, ready = context.SimpleQueue(), context.Barrier(processes)

        def work() -> None:
            ready.wait()
            answers.put(action())

        workers = [context.Process(target=work) for _ in range(processes)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * processes
        return [answers.get() for _ in workers]

    return run
