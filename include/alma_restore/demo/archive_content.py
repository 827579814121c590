"""What the demo's embedded archive contains: seven MOUSs, of which three can be restored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from alma_restore.archive.records import ProductFile, Qa0, SchedBlock
from alma_restore.demo.metadata import Execution, MousRecord
from alma_restore.rules.eligibility import RESTORABLE
from alma_restore.uid import Uid

_EB_LENGTH = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """How big an execution block is made.

    Attributes:
        antennas: 5 to 50.
        windows: spectral windows, 1 to 4.
        channels: of each window, at least 8.
        scale: how many times 38 integrations. 20 antennas, 2 windows, 128 channels, scale 5 are 157 MB of raw data.
    """

    antennas: int = 10
    windows: int = 2
    channels: int = 32
    scale: int = 1


@dataclass(frozen=True, slots=True)
class DemoBlock:
    """One execution block; `session` counts from 1, `sched_block` is a number in its MOUS."""

    uid: Uid
    session: int
    started: datetime
    qa0: Qa0 = "Pass"
    sched_block: int = 0


@dataclass(frozen=True, slots=True)
class DemoMous:
    """One MOUS of an archive that we make.

    Attributes:
        refusal_code: what `rules.eligibility` says of it. A restorable one gets real data; of another one there are
            metadata and placeholders for its product files.
        prefix: of MOUS-level product names in the archive; deliveries write `member.`, the manifest does not.
        sched_block_states: life-cycle state of each of its SchedBlocks.
    """

    uid: Uid
    project_code: str
    ebs: tuple[DemoBlock, ...]
    refusal_code: str = RESTORABLE
    sizes: BlockSizes = field(default_factory=BlockSizes)
    prefix: str = "member."
    sched_block_states: tuple[str, ...] = ("FullyObserved",)
    requested_array: str = "TWELVE-M"

    @property
    def restorable(self) -> bool:
        return self.refusal_code == RESTORABLE

    @property
    def project_uid(self) -> Uid:
        return Uid(f"uid://A001/X1200/X{int(self.project_code.split('.')[2]):x}")

    def related_uid(self, number: int) -> Uid:
        """The uid that follows the MOUS's own by `number`: of its SchedBlocks and their like."""
        stem, _, last = self.uid.rpartition("X")
        return Uid(f"{stem}X{int(last, 16) + number:x}")

    def sched_block_uid(self, number: int) -> Uid:
        return self.related_uid(1 + 2 * number)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


DEMO_MOUSS = (
    DemoMous(  # three Pass blocks in two of three sessions
        Uid("uid://A001/X12d1/X23e"),
        "2017.1.00370.S",
        (
            DemoBlock(Uid("uid://A002/Xd248b5/Xa7a"), 1, _utc("2018-09-18T04:30:00")),
            DemoBlock(Uid("uid://A002/Xd248b5/Xcc1"), 1, _utc("2018-09-18T05:10:00")),
            DemoBlock(Uid("uid://A002/Xd250aa/X22"), 2, _utc("2018-09-19T04:50:00"), "Fail"),
            DemoBlock(Uid("uid://A002/Xd2f4c0/X1f3"), 3, _utc("2018-09-20T05:20:00")),
        ),
        prefix="",
    ),
    DemoMous(  # one block; its products carry a prefix that the manifest does not know
        Uid("uid://A001/X1284/X266"),
        "2017.1.00886.S",
        (DemoBlock(Uid("uid://A002/Xcc8b1f/X2d1a"), 1, _utc("2018-04-23T09:40:00")),),
    ),
    DemoMous(  # two SchedBlocks, one deleted after its only execution had failed: session 1 is empty
        Uid("uid://A001/X12cc/X4a"),
        "2017.1.01214.S",
        (
            DemoBlock(Uid("uid://A002/Xca795f/X25c8"), 1, _utc("2018-03-07T10:15:00"), "Fail", sched_block=1),
            DemoBlock(Uid("uid://A002/Xca8fbf/X1e07"), 2, _utc("2018-03-09T10:05:00")),
        ),
        sizes=BlockSizes(antennas=7, channels=16),
        sched_block_states=("FullyObserved", "Deleted"),
    ),
    DemoMous(
        Uid("uid://A001/X12a3/X80e"),
        "2017.1.00661.S",
        (DemoBlock(Uid("uid://A002/Xccb526/X9a3"), 1, _utc("2018-04-27T08:00:00")),),
        refusal_code="manual_calibration",
    ),
    DemoMous(
        Uid("uid://A001/X1284/X265f"),
        "2017.1.00886.L",
        (DemoBlock(Uid("uid://A002/Xcd07af/X5f9c"), 1, _utc("2018-05-06T07:30:00")),),
        refusal_code="no_science_products",
    ),
    DemoMous(
        Uid("uid://A001/X133d/X1ab2"),
        "2018.1.01102.S",
        (
            DemoBlock(Uid("uid://A002/Xd80784/X3b2"), 1, _utc("2019-01-12T15:00:00"), "SemiPass"),
            DemoBlock(Uid("uid://A002/Xd80784/X5e1"), 1, _utc("2019-01-12T16:10:00"), "Fail"),
        ),
        refusal_code="no_pass_eb",
    ),
    DemoMous(
        Uid("uid://A001/X12d1/X2f0"),
        "2017.1.00093.S",
        (DemoBlock(Uid("uid://A002/Xd1ff83/X40c7"), 1, _utc("2018-09-14T03:20:00")),),
        refusal_code="single_dish",
        requested_array="TP-Array",
    ),
)
"""The first has uids that NRAO's own documents print; every MOUS is made up, whatever its uid stands for at ALMA."""


def placeholder_products(mous: DemoMous) -> Iterator[tuple[str, str]]:
    """File id and class of the products that an MOUS which is not restorable has in the archive."""
    recipe = "hsd_calimage" if mous.refusal_code == "single_dish" else "hifa_calimage"
    if mous.refusal_code == "manual_calibration":
        names = [("scriptForCalibration.py", "script"), ("scriptForPI.py", "script"), ("caltables.tgz", "calibration")]
    elif mous.refusal_code == "no_pass_eb":
        names = [("scriptForPI.py", "script")]
    else:
        names = [(f"{recipe}.{name}", "script") for name in ("pipeline_manifest.xml", "casa_piperestorescript.py")]
        names += [(f"{recipe}.auxproducts.tgz", "calibration"), ("session_1.caltables.tgz", "calibration")]
    if mous.refusal_code != "no_science_products":
        names += [("DemoTarget_sci.cont.I.pbcor.fits", "science")]
    for name, file_class in [*names, ("README.txt", "readme")]:
        yield f"{mous.prefix}{mous.uid.sanitised}.{name}", file_class


def mous_record(mous: DemoMous, files: tuple[ProductFile, ...], delivered: datetime) -> MousRecord:
    """What the metadata database tells of an MOUS."""
    sched_blocks = tuple(
        SchedBlock(
            mous.sched_block_uid(number),
            mous.related_uid(2 + 2 * number),
            state,
            f"DemoTarget_{'abcdef'[number]}_03_TM1",
            mous.requested_array,
        )
        for number, state in enumerate(mous.sched_block_states)
    )
    executions = tuple(
        Execution(
            eb.uid,
            mous.sched_block_uid(eb.sched_block),
            eb.qa0,
            session_id=mous.related_uid(0x10 + eb.session),
            started=eb.started,
            ended=eb.started + _EB_LENGTH,
        )
        for eb in mous.ebs
    )
    return MousRecord(
        uid=mous.uid,
        project_code=mous.project_code,
        project_uid=mous.project_uid,
        project_status_uid=Uid(mous.project_uid.replace("/X1200/", "/X1201/")),
        obs_unit_set_uid=mous.project_uid,
        obs_unit_set_part_id=f"X{int(mous.uid.rpartition('X')[2], 16):08x}",
        sched_blocks=sched_blocks,
        executions=executions,
        files=files,
        delivered_at=(delivered,),
        source_name="DemoTarget",
        ra=277.5,
        dec=-22.0,
        band_list="3",
    )
