"""What a restore leaves behind, for those who look for what must not be there, and for what must be on every line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

FROM_OUTSIDE = {"request_id", "mous_uid", "stage"}


def files_with(secrets: Iterable[str], folder: Path) -> list[str]:
    """The files below a folder in which one of these secrets stands."""
    wanted = [secret.encode() for secret in secrets]
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if any(secret in path.read_bytes() for secret in wanted)]


def tables_with(secrets: Iterable[str], url: str) -> list[str]:
    """The tables of a PostgreSQL database in which one of these secrets stands: XCom, rendered fields, runs, ..."""
    found = []
    with psycopg.connect(url.replace("+psycopg2", "").replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert tables
        for (table,) in tables:
            rows = connection.execute(
                sql.SQL("SELECT coalesce(string_agg(t::text, ' '), '') FROM {} t").format(sql.Identifier(table))
            ).fetchone()
            assert rows
            found += [f"{table}: {secret}" for secret in secrets if secret in rows[0]]
    return found


def processes_with(secrets: Iterable[str]) -> list[str]:
    """The processes of this machine on whose command line one of these secrets stands, for everybody to read."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        found += [line for secret in secrets if secret in line]
    return found


def task_lines(logs: Path, run_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line that the tasks of a run logged, with the task's id."""
    files = sorted(logs.glob(f"dag_id=restore_mous/run_id={run_id}/**/*.log"))
    assert files
    for file in files:
        task_id = next(part for part in file.parts if part.startswith("task_id=")).removeprefix("task_id=")
        for line in file.read_text().splitlines():
            yield task_id, json.loads(line)
