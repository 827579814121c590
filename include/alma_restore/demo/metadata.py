"""Writes the metadata of MOUSs into an embedded archive, every table as the observatory's database has it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from alma_restore.archive.embedded import iso_text
from alma_restore.archive.queries import batches
from alma_restore.archive.records import ProductFile, Qa0, SchedBlock
from alma_restore.uid import Uid

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a SchedBlock, as AQUA_EXECBLOCK and the shift log know it."""

    uid: Uid
    sched_block_uid: Uid
    qa0: Qa0
    session_id: str | None
    started: datetime | None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class MousRecord:
    """One MOUS with everything that the metadata database tells about it.

    Attributes:
        delivered_at: one `Delivered` row in STATE_CHANGES for each; none: not delivered yet.
        state: life-cycle state of the MOUS now.
        band_list: receiver bands as ASA_SCIENCE spells them, such as `6` or `3 7`.
        shift_log_rows: rows that the shift log holds for one execution; it is known to repeat itself.
    """

    uid: Uid
    project_code: str
    project_uid: Uid
    project_status_uid: Uid
    obs_unit_set_uid: Uid
    obs_unit_set_part_id: str
    sched_blocks: tuple[SchedBlock, ...]
    executions: tuple[Execution, ...]
    files: tuple[ProductFile, ...]
    delivered_at: tuple[datetime, ...] = ()
    state: str = "Delivered"
    qa2: str = "Pass"
    source_name: str = "J0000+0000"
    ra: float = 0.0
    dec: float = 0.0
    band_list: str = "6"
    project_title: str = "Demonstration of restores"
    pi_name: str = "A. Stronomer"
    shift_log_rows: int = 2


def write_mous(connection: sqlite3.Connection, record: MousRecord) -> None:
    """Add one MOUS to a database that `embedded.create` made; the caller commits."""
    write_many(connection, [record])


def write_many(connection: sqlite3.Connection, records: Iterable[MousRecord]) -> None:
    """Add MOUSs to a database that `embedded.create` made; the caller commits."""
    for some in batches(records, 1000):
        tables: defaultdict[str, list[Row]] = defaultdict(list)
        for table, row in chain.from_iterable(map(_rows, some)):
            tables[table].append(row)
        for table, rows in tables.items():
            _insert(connection, table, rows)


def _insert(connection: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    """Insert rows of one shape, CHAR columns padded with blanks as Oracle does."""
    types = {name: str(declared) for _, name, declared, *_ in connection.execute(f"PRAGMA table_info({table})")}
    widths = [int(types[name][5:-1]) if types[name].startswith("CHAR(") else 0 for name in rows[0]]
    values = ([_stored(v, width) for v, width in zip(row.values(), widths, strict=True)] for row in rows)
    names = ", ".join(f'"{name}"' for name in rows[0])
    marks = ", ".join("?" * len(widths))
    # a project or an execution block that MOUSs share is written once
    connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING", values)  # noqa: S608


def _stored(value: Any, width: int) -> Any:
    if isinstance(value, datetime):
        return iso_text(value)
    return value.ljust(width) if width and value is not None else value


def _rows(record: MousRecord) -> Iterator[tuple[str, Row]]:
    """Every row of one MOUS, with its table."""
    yield from _project_rows(record)
    for file in record.files:
        yield (
            "ASA_PRODUCT_FILES",
            {
                "ASA_OUS_ID": record.uid,
                "NGAS_FILE_ID": file.file_id,
                "FILE_CLASS": file.file_class,
                "STORED_SIZE": file.size_bytes,
            },
        )
    for sched_block in record.sched_blocks:
        yield from _sched_block_rows(record, sched_block)
    for execution in record.executions:
        yield from _execution_rows(record, execution)
    for delivered in record.delivered_at:
        yield (
            "STATE_CHANGES",
            {
                "STATUS_ENTITY_ID": record.uid,
                "DOMAIN_ENTITY_ID": record.obs_unit_set_uid,
                "DOMAIN_ENTITY_STATE": "Delivered",
                "TIMESTAMP": delivered,
                "SUBSYSTEM": "QA2",
            },
        )


def _project_rows(record: MousRecord) -> Iterator[tuple[str, Row]]:
    yield (
        "ASA_PROJECT",
        {
            "PROJECT_UID": record.project_uid,
            "CODE": record.project_code,
            "TITLE": record.project_title,
            "PI_NAME": record.pi_name,
            "TYPE": "S",
        },
    )
    yield (
        "AQUA_OUS",
        {
            "OUS_STATUS_ENTITY_ID": record.uid,
            "OBSUNITSETUID": record.obs_unit_set_uid,
            "OBSUNITSETPARTID": record.obs_unit_set_part_id,
            "QA2STATUS": record.qa2,
        },
    )
    yield (
        "OBS_UNIT_SET_STATUS",
        {
            "STATUS_ENTITY_ID": record.uid,
            "DOMAIN_ENTITY_ID": record.obs_unit_set_uid,
            "DOMAIN_ENTITY_STATE": record.state,
            "OBS_PROJECT_STATUS_ID": record.project_status_uid,
            "OBS_PROJECT_ID": record.project_uid,
        },
    )


def _sched_block_rows(record: MousRecord, sched_block: SchedBlock) -> Iterator[tuple[str, Row]]:
    executions = [e for e in record.executions if e.sched_block_uid == sched_block.uid]
    yield (
        "BMMV_SCHEDBLOCK",
        {
            "ARCHIVE_UID": sched_block.uid,
            "PRJ_REF": record.project_uid,
            "MOUS_STATUS_UID": record.uid,
            "SB_STATUS_UID": sched_block.status_uid,
            "SB_NAME": sched_block.name,
            "REQUESTEDARRAY": sched_block.requested_array,
            "EXECUTION_COUNT": len(executions),
        },
    )
    if sched_block.status_uid is not None:
        yield (
            "SCHED_BLOCK_STATUS",
            {
                "STATUS_ENTITY_ID": sched_block.status_uid,
                "DOMAIN_ENTITY_ID": sched_block.uid,
                "DOMAIN_ENTITY_STATE": sched_block.state,
                "PARENT_OBS_UNIT_SET_STATUS_ID": record.uid,
                "OBS_PROJECT_STATUS_ID": record.project_status_uid,
                "OBS_PROJECT_ID": record.project_uid,
            },
        )


def _execution_rows(record: MousRecord, execution: Execution) -> Iterator[tuple[str, Row]]:
    sched_block = next(s for s in record.sched_blocks if s.uid == execution.sched_block_uid)
    yield (
        "AQUA_EXECBLOCK",
        {
            "EXECBLOCKUID": execution.uid,
            "SCHEDBLOCKUID": sched_block.uid,
            "OBSPROJECTCODE": record.project_code,
            "QA0STATUS": execution.qa0,
            "STARTTIME": execution.started,
            "ENDTIME": execution.ended,
            "SESSIONID": execution.session_id,
        },
    )
    if execution.session_id is not None:
        yield (
            "AQUA_SESSION",
            {"SESSIONID": execution.session_id, "STARTTIME": execution.started, "ENDTIME": execution.ended},
        )
    for repeated in range(record.shift_log_rows):
        yield (
            "SHIFTLOG_ENTRIES",
            {
                "SE_TYPE": "SBEX",
                "SE_PROJECT_CODE": record.project_code,
                "SE_SB_CODE": sched_block.name,
                "SE_SB_ID": sched_block.uid,
                "SE_EB_UID": execution.uid,
                "SE_START": execution.started,
                "SE_TIMESTAMP": execution.started and execution.started + timedelta(minutes=repeated),
                "SE_QA0FLAG": execution.qa0,
            },
        )
    yield (
        "ASA_SCIENCE",
        {
            "DATASET_ID": f"{record.uid.sanitised}.{execution.uid.sanitised}",
            "PRODUCT_TYPE": "MOUS",
            "PROJECT_CODE": record.project_code,
            "PROJECT_UID": record.project_uid,
            "ASA_OUS_ID": record.uid,
            "MEMBER_OUSS_ID": record.uid,
            "ASDM_UID": execution.uid,
            "SCHEDBLOCK_UID": sched_block.uid,
            "SCHEDBLOCK_NAME": sched_block.name,
            "SOURCE_NAME": record.source_name,
            "RA": record.ra,
            "DEC": record.dec,
            "BAND_LIST": record.band_list,
            "START_DATE": execution.started,
            "END_DATE": execution.ended,
        },
    )
