"""Metadata of a whole observatory's worth of MOUSs, made up, for benchmarks and load tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import chain, islice

from alma_restore.archive.records import ProductFile, SchedBlock
from alma_restore.demo.metadata import Execution, MousRecord
from alma_restore.uid import Uid

UNTIL = datetime(2026, 1, 1, tzinfo=timezone.utc)

_KINDS = ("manual", "manual", "manual", "single dish", "nothing passed", "not complete", *["restorable"] * 14)
"""Fifteen in a hundred are calibrated by hand (DOMAIN section 2)."""


def many_mous(count: int, *, files: int = 20, a_day: float = 20.0, until: datetime = UNTIL) -> Iterator[MousRecord]:
    """Make up MOUSs as an observatory delivers them: one to four execution blocks, now and then one not restorable.

    Args:
        count: how many.
        files: product files of each.
        a_day: MOUSs delivered a day; ALMA delivers about 3,000 a year.
        until: when the last one was delivered; the others were before it, evenly.
    """
    for number in range(count):
        delivered = until - timedelta(days=(count - number) / a_day)
        yield _mous(number, _KINDS[number % len(_KINDS)], files, delivered)


def _mous(number: int, kind: str, files: int, delivered: datetime) -> MousRecord:
    mous_uid = _uid("A001", 0x1000, number)
    blocks = 1 + number % 4
    array = "TP-Array" if kind == "single dish" else "TWELVE-M"
    sched_block = SchedBlock(_uid("A001", 0x4000, number), _uid("A001", 0x5000, number), "FullyObserved", "sb", array)
    executions = tuple(
        Execution(
            uid=_uid("A002", 0x1000, 4 * number + block),
            sched_block_uid=sched_block.uid,
            qa0="Fail" if kind == "nothing passed" or (block == 0 and number % 7 == 0 and blocks > 1) else "Pass",
            session_id=f"session {number}.{block // 2}",
            started=(started := delivered - timedelta(days=30, hours=-2 * block)),
            ended=started + timedelta(hours=1),
        )
        for block in range(blocks)
    )
    return MousRecord(
        uid=mous_uid,
        project_code=f"2017.1.{number // 10 % 100000:05d}.S",
        project_uid=_uid("A001", 0x2000, number // 10),
        project_status_uid=_uid("A001", 0x3000, number // 10),
        obs_unit_set_uid=_uid("A001", 0x2000, number // 10),
        obs_unit_set_part_id=f"X{number:08x}",
        sched_blocks=(sched_block,),
        executions=executions,
        files=tuple(islice(chain(_products(mous_uid, kind, executions), _images(mous_uid, kind)), files)),
        delivered_at=(delivered,),
        source_name=f"Source {number % 5000}",
        ra=number * 360.0 / 100_000 % 360,
        dec=number % 90 - 60.0,
        band_list=str(3 + number % 5),
    )


def _products(mous_uid: Uid, kind: str, executions: tuple[Execution, ...]) -> Iterator[ProductFile]:
    member = f"member.{mous_uid.sanitised}"
    recipe = "hsd_calimage" if kind == "single dish" else "hifa_calimage"
    if kind == "manual":
        yield ProductFile(f"{member}.scriptForCalibration.py", "script", 40_000)
        return
    for name in ("pipeline_manifest.xml", "casa_pipescript.py", "casa_piperestorescript.py", "pprequest.xml"):
        yield ProductFile(f"{member}.{recipe}.{name}", "script", 10_000)
    yield ProductFile(f"{member}.{recipe}.auxproducts.tgz", "calibration", 100_000)
    for session in sorted({execution.session_id for execution in executions if execution.session_id}):
        number = int(session.rsplit(".", 1)[1]) + 1
        yield ProductFile(f"{member}.session_{number}.caltables.tgz", "calibration", 50_000_000)
    for execution in executions:
        if execution.qa0 == "Pass":
            for ending in ("ms.flagversions.tgz", "ms.calapply.txt"):
                yield ProductFile(f"{member}.{execution.uid.sanitised}.{ending}", "calibration", 5_000_000)


def _images(mous_uid: Uid, kind: str) -> Iterator[ProductFile]:
    """As many images as anybody asks for; weblogs where the calibration is not complete."""
    number = 0
    while True:
        file_class, ending = ("weblog", "weblog.tgz") if kind == "not complete" else ("science", "cube.I.pbcor.fits")
        yield ProductFile(f"member.{mous_uid.sanitised}.spw{number}.{ending}", file_class, 2_000_000_000)
        number += 1


def _uid(archive: str, first: int, number: int) -> Uid:
    return Uid(f"uid://{archive}/X{first + number // 0x10000:x}/X{number % 0x10000:x}")
