"""MOUSs for tests, made in a line, and a database of them whose columns are padded as a test likes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

from alma_restore.archive import embedded
from alma_restore.archive.records import ProductFile, SchedBlock
from alma_restore.demo.metadata import Execution, MousRecord, write_many
from alma_restore.uid import Uid

DELIVERED = datetime(2018, 9, 21, 12, tzinfo=timezone.utc)


def mous_uid(number):
    return Uid(f"uid://A001/X1/X{number:x}")


def eb_uid(number):
    return Uid(f"uid://A002/X1/X{number:x}")


def sched_block(number, state="FullyObserved", array="TWELVE-M"):
    return SchedBlock(
        Uid(f"uid://A001/X2/X{number:x}"), Uid(f"uid://A001/X3/X{number:x}"), state, f"sb {number}", array
    )


def execution(number, sched_block_number, qa0="Pass", session="s1", hour=0):
    started = None if hour is None else DELIVERED + timedelta(days=-30, hours=hour)
    uid = Uid(f"uid://A001/X2/X{sched_block_number:x}")
    return Execution(eb_uid(number), uid, qa0, session, started, started and started + timedelta(hours=1))


def mous(number, **facts):
    """One MOUS with one SchedBlock, one execution block and three files, unless told otherwise."""
    defaults = {
        "uid": mous_uid(number),
        "project_code": "2017.1.00370.S",
        "project_uid": Uid("uid://A001/X4/X1"),
        "project_status_uid": Uid("uid://A001/X4/X2"),
        "obs_unit_set_uid": Uid("uid://A001/X4/X1"),
        "obs_unit_set_part_id": f"X{number:08x}",
        "sched_blocks": (sched_block(number),),
        "executions": (execution(number, number),),
        "files": (
            ProductFile(f"member.{number}.session_1.caltables.tgz", "calibration", 20),
            ProductFile(f"member.{number}.hifa_calimage.pipeline_manifest.xml", "script", 10),
            ProductFile(f"member.{number}.spw1.fits", "science", 2**40),
        ),
        "delivered_at": (DELIVERED,),
    }
    return MousRecord(**(defaults | facts))


def write(path: Path, *records: MousRecord) -> Path:
    with closing(embedded.create(path)) as connection:
        write_many(connection, records)
        connection.commit()
    return path


def change(path: Path, *statements: str) -> None:
    """Alter a database behind everybody's back."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


_WIDTHS = {"CHAR(64)": 64, "VARCHAR2(64)": 64, "CHAR(32)": 32, "VARCHAR2(32)": 32, "VARCHAR2(256)": 300}


def spell(path: Path, spelling: str) -> Path:
    """Pad the text columns of a database with blanks: as `declared`, in `all` tables, in `none`, in `every other`."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for number, table in enumerate(tables if spelling != "declared" else []):
            padded = spelling == "all" or (spelling == "every other" and number % 2 == 0)
            for _, column, declared, *_ in connection.execute(f"PRAGMA table_info({table})").fetchall():
                if width := _WIDTHS.get(declared):
                    spelled = f"printf('%-{width if padded else 0}s', rtrim({column}))"
                    connection.execute(" ".join(["UPDATE", table, "SET", column, "=", spelled, f"WHERE {column} > ''"]))
        connection.commit()
    return path
