"""What the observatory's metadata database knows about MOUSs, as typed rows."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from typing import Any, TypeVar

from alma_restore.archive.queries import KEYS_AT_ONCE, Connection, Queries, answering, batches, text, utc
from alma_restore.archive.records import (
    Calibration,
    ExecutionBlock,
    ProductFile,
    ProjectStructure,
    SchedBlock,
    qa0_verdict,
)
from alma_restore.errors import Inconsistent, Refused
from alma_restore.uid import Uid

log = logging.getLogger(__name__)

T = TypeVar("T")


class Metadata:
    """The metadata database, whichever it is: Oracle at an observatory, SQLite in an embedded archive.

    Every method raises NotAvailable when the database does not answer and Misconfigured when it denies us a table.

    Args:
        connect: gives an open PEP 249 connection as a context manager that closes it, such as
            `lambda: closing(embedded.connect(file))`.

    Source: DOMAIN sections 2-4. Each query is a file in sql/.
    """

    def __init__(self, connect: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._connect = connect

    def mous_of_execution_block(self, eb_uid: Uid) -> Uid:
        """The MOUS that an execution block belongs to.

        Raises:
            Refused: (code `unknown_uid`) the archive knows no such execution block, or no MOUS of it.
            Inconsistent: it is listed under several MOUSs.
        """
        with self.queries() as queries:
            sched_blocks = _second(queries.rows_of("sched_blocks_of_execution_blocks", [eb_uid]))
            found = _second(queries.rows_of("mous_of_sched_blocks", sched_blocks))
        if not found:
            raise Refused(
                f"The archive knows no MOUS of the execution block {eb_uid}.",
                code="unknown_uid",
                remedy="Check the uid, or give the MOUS uid instead.",
            )
        if len(found) > 1:
            raise Inconsistent(
                f"The execution block {eb_uid} is listed under {len(found)} MOUSs: {', '.join(found)}.",
                remedy="Give the MOUS uid instead.",
            )
        return Uid(found[0])

    def execution_blocks(self, mous_uid: Uid) -> tuple[ExecutionBlock, ...]:
        """All execution blocks of an MOUS, at any QA0 verdict, in order of observation."""
        with self.queries() as queries:
            sched_blocks = _sched_blocks(queries, [mous_uid])
            return tuple(_execution_blocks(queries, sched_blocks)[mous_uid])

    def product_files(self, mous_uid: Uid) -> tuple[ProductFile, ...]:
        """The files delivered for an MOUS, of every class, by name."""
        with self.queries() as queries:
            return tuple(_product_files(queries, [mous_uid])[mous_uid])

    def sched_blocks(self, mous_uid: Uid) -> tuple[SchedBlock, ...]:
        """The SchedBlocks linked to an MOUS, with the state of each."""
        with self.queries() as queries:
            linked = _sched_blocks(queries, [mous_uid])[mous_uid]
            states = {
                text(sched_block): (text(status), text(state))
                for sched_block, status, state in queries.rows_of("sched_block_states", [s.uid for s in linked])
            }
        return tuple(_with_state(sched_block, *states.get(sched_block.uid, ("", ""))) for sched_block in linked)

    def project_structure(self, mous_uid: Uid) -> ProjectStructure:
        """Where an MOUS stands in its project, as the PPR needs it.

        Raises:
            Refused: (code `unknown_uid`) the archive knows nothing of this MOUS.
            Inconsistent: it knows only a part, or more than one project.
        """
        with self.queries() as queries:
            codes = _second(queries.rows_of("project_codes", [mous_uid]))
            parts = {(text(uid), text(part)) for _, uid, part in queries.rows_of("obs_unit_sets", [mous_uid])}
            statuses = _second(queries.rows_of("project_statuses", [mous_uid]))
        if not (codes or parts or statuses):
            raise _unknown(mous_uid)
        obs_unit_set_uid, part_id = _the_one(mous_uid, "ObsUnitSet (AQUA_OUS)", sorted(parts))
        return ProjectStructure(
            project_code=_the_one(mous_uid, "project code (ASA_SCIENCE)", codes),
            obs_unit_set_uid=Uid(obs_unit_set_uid),
            obs_unit_set_part_id=part_id,
            project_status_uid=Uid(_the_one(mous_uid, "project status (OBS_UNIT_SET_STATUS)", statuses)),
        )

    def calibration(self, mous_uid: Uid) -> Calibration:
        """One MOUS as delivered.

        Raises:
            Refused: (code `unknown_uid`) the archive has neither files nor SchedBlocks of it.
        """
        with self.queries() as queries:
            for calibration in calibrations(queries, [mous_uid]):
                return calibration
        raise _unknown(mous_uid)

    def calibrated_between(self, start: datetime, end: datetime) -> Iterator[Calibration]:
        """The MOUSs delivered in a window, the one delivered first in it coming first.

        The cost grows with the window, not with the archive. A time without a zone counts as UTC.

        Args:
            start, end: start <= delivered < end.
        """
        with self.queries() as queries:
            rows = queries.rows("delivered_mous", window_start=utc(start), window_end=utc(end))
            delivered = sorted((utc(time), uid) for uid, time in by_uid(rows))
            yield from _in_batches(queries, [uid for _, uid in delivered])

    def all_calibrations(self, after: Uid | None = None) -> Iterator[Calibration]:
        """Every MOUS that has product files, in order of uid, read a few hundred at a time.

        Args:
            after: the last uid seen by a sweep that stopped; it goes on behind that.
        """
        with self.queries() as queries:
            uids = sorted(uid for uid, *_ in by_uid(queries.rows("mous_with_products")) if after is None or uid > after)
            yield from _in_batches(queries, uids)

    @contextmanager
    def queries(self) -> Iterator[Queries]:
        """The queries of a connection that is opened now and closed at the end of the block."""
        with ExitStack() as opened:
            with answering("our log-in"):
                connection = opened.enter_context(self._connect())
            yield Queries(connection)


def _in_batches(queries: Queries, uids: Iterable[Uid]) -> Iterator[Calibration]:
    for some in batches(uids, KEYS_AT_ONCE):
        yield from calibrations(queries, some)


def calibrations(queries: Queries, uids: Sequence[Uid]) -> list[Calibration]:
    """These MOUSs as delivered, in the order asked for; what has neither files nor SchedBlocks is no MOUS."""
    files = _product_files(queries, uids)
    sched_blocks = _sched_blocks(queries, uids)
    execution_blocks = _execution_blocks(queries, sched_blocks)
    delivered = {uid: utc(time) for uid, time in by_uid(queries.rows_of("delivery_times", uids))}
    return [
        Calibration(
            mous_uid=uid,
            calibrated_at=delivered.get(uid),
            files=tuple(files[uid]),
            execution_blocks=tuple(execution_blocks[uid]),
            requested_arrays=tuple(sorted({s.requested_array for s in sched_blocks[uid]} - {""})),
        )
        for uid in uids
        if files[uid] or sched_blocks[uid]
    ]


def _product_files(queries: Queries, uids: Iterable[Uid]) -> dict[str, list[ProductFile]]:
    found: defaultdict[str, list[ProductFile]] = defaultdict(list)
    for mous_uid, file_id, file_class, size_bytes in queries.rows_of("product_files", uids):
        size = None if size_bytes is None else int(size_bytes)
        found[text(mous_uid)].append(ProductFile(text(file_id), text(file_class), size))
    for files in found.values():
        files.sort(key=lambda file: (file.file_id, file.file_class))
    return found


def _sched_blocks(queries: Queries, uids: Iterable[Uid]) -> dict[str, list[SchedBlock]]:
    """The SchedBlocks of each MOUS, their states not known yet."""
    found: defaultdict[str, dict[Uid, SchedBlock]] = defaultdict(dict)
    for mous_uid, *columns in queries.rows_of("sched_blocks", uids):
        uid, status_uid, name, array = map(text, columns)
        if sched_block := _uid(uid):
            found[text(mous_uid)][sched_block] = SchedBlock(sched_block, _uid(status_uid), "", name, array)
    linked = {mous: [blocks[uid] for uid in sorted(blocks)] for mous, blocks in found.items()}
    return defaultdict(list, linked)


def _execution_blocks(queries: Queries, sched_blocks: dict[str, list[SchedBlock]]) -> dict[str, list[ExecutionBlock]]:
    """The execution blocks of each MOUS, through its SchedBlocks and the shift log, in order of observation."""
    executed: defaultdict[str, set[str]] = defaultdict(set)
    for sched_block, eb_uid in queries.rows_of(
        "executions", [s.uid for linked in sched_blocks.values() for s in linked]
    ):
        executed[text(sched_block)].add(text(eb_uid))
    wanted = sorted({uid for uids in executed.values() for uid in uids} - {""})
    blocks = {
        uid: ExecutionBlock(uid, qa0_verdict(text(qa0)), text(session_id) or None, utc(started))
        for uid, qa0, session_id, started in by_uid(queries.rows_of("execution_blocks", wanted))
    }
    found: defaultdict[str, list[ExecutionBlock]] = defaultdict(list)
    for mous_uid, linked in sched_blocks.items():
        uids = {uid for sched_block in linked for uid in executed[sched_block.uid] if uid in blocks}
        found[mous_uid] = sorted((blocks[uid] for uid in uids), key=lambda eb: (str(eb.started), eb.uid))
    return found


def _with_state(sched_block: SchedBlock, status_uid: str, state: str) -> SchedBlock:
    status = _uid(status_uid) or sched_block.status_uid
    return SchedBlock(sched_block.uid, status, state, sched_block.name, sched_block.requested_array)


def by_uid(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Rows with their first column as Uid; a row without one says nothing to us, and must not stop the others."""
    for first, *others in rows:
        if uid := _uid(text(first)):
            yield (uid, *others)


def _uid(value: str) -> Uid | None:
    if not value:
        return None
    try:
        return Uid(value)
    except Refused:
        log.warning("The metadata database holds %r where a uid belongs; the row is passed over.", value[:80])
        return None


def _second(rows: Iterable[Sequence[Any]]) -> list[str]:
    """The distinct values of the second column, NULL left out, in order."""
    return sorted({text(second) for _, second in rows} - {""})


def _the_one(mous_uid: Uid, what: str, found: Sequence[T]) -> T:
    if len(found) == 1:
        return found[0]
    listed = ", ".join(map(str, found)) or "none"
    raise Inconsistent(
        f"The MOUS {mous_uid} needs one {what} and has {len(found)}: {listed}.",
        remedy="Ask the archive to mend its metadata.",
    )


def _unknown(mous_uid: Uid) -> Refused:
    return Refused(f"The archive does not know the MOUS {mous_uid}.", code="unknown_uid", remedy="Check the uid.")
