"""What a demo run came to: told step by step, as a table, and as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from alma_restore.casa.casa_home import CASA_SIDE, casa_home
from alma_restore.catalogue.records import CalibrationRecord, RequestRecord
from alma_restore.catalogue.states import DELIVERED
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.demo.environment import DemoPlace
from alma_restore.uid import Uid


@dataclass(frozen=True, slots=True)
class States:
    """What the catalogue knows at one moment."""

    calibrations: tuple[CalibrationRecord, ...]
    requests: tuple[RequestRecord, ...]

    @property
    def all_ended(self) -> bool:
        """Whether every restorable calibration has a request that ended."""
        ended = {request.mous_uid for request in self.requests if request.ended}
        to_restore = [each for each in self.calibrations if each.decision == "restore"]
        return bool(self.calibrations) and all(each.mous_uid in ended for each in to_restore)


@dataclass
class ExecutionBlockResult:
    uid: str
    rows: int
    identical: bool | None


@dataclass
class MousResult:
    """One MOUS of the result; `identical` is None where the archive has no reference."""

    uid: str
    decision: str
    reason: str
    state: str
    delivered: str | None
    seconds: float | None
    ebs: list[ExecutionBlockResult] = field(default_factory=list)


@dataclass
class Result:
    """The result of a demo run.

    Attributes:
        good: every restorable MOUS was delivered, identical to its reference where there is one, and nothing was
            decided otherwise than expected.
    """

    seconds: float
    mous: list[MousResult]
    mails: list[dict[str, str]]
    good: bool

    def as_json(self) -> dict[str, Any]:
        content = asdict(self)
        content.pop("good")
        return content


def states(catalogue: Catalogue) -> States:
    return States(catalogue.calibrations(), catalogue.find(limit=1000).requests)


def news(told: dict[str, Any], now: States) -> Iterator[str]:
    """Lines for what has changed since the last call."""
    if now.calibrations and told.get("calibrations") != len(now.calibrations):
        told["calibrations"] = len(now.calibrations)
        restorable = sum(each.decision == "restore" for each in now.calibrations)
        yield f"detected {len(now.calibrations)} calibrated MOUSs: {restorable} to restore"
    for request in now.requests:
        step = f"{request.state}: {request.stage}" if not request.ended else request.state
        if told.get(request.id) != step:
            told[request.id] = step
            yield f"{request.mous_uid}  {step}{' -- ' + request.reason if request.reason else ''}"


def gather(here: DemoPlace, archive: Path, catalogue: Catalogue, mails: list[EmailMessage], expected: bool) -> Result:
    """Collect what was decided and delivered, and compare the deliveries with the archive's reference.

    Args:
        expected: compare the decisions with those the demo archive was made for.
    """
    now = states(catalogue)
    requests = {request.mous_uid: request for request in now.requests}
    mous = [_mous(here, archive, catalogue, each, requests.get(each.mous_uid)) for each in now.calibrations]
    good = all(_good(each) for each in mous) and bool(mous)
    if expected:
        wanted = {(each.uid, each.restorable, each.refusal_code) for each in DEMO_MOUSS}
        good = good and wanted == {(c.mous_uid, c.decision == "restore", c.code) for c in now.calibrations}
        good = good and all(block.identical for each in mous for block in each.ebs)
    return Result(0.0, mous, [{"to": str(m["To"]), "subject": str(m["Subject"])} for m in mails], good)


def _good(mous: MousResult) -> bool:
    if mous.decision != "restore":
        return True
    return mous.state in DELIVERED and bool(mous.ebs) and all(block.identical is not False for block in mous.ebs)


def _mous(
    here: DemoPlace, archive: Path, catalogue: Catalogue, seen: CalibrationRecord, request: RequestRecord | None
) -> MousResult:
    delivery = catalogue.delivery(request.id) if request else None
    seconds = (request.ended_at - request.created_at).total_seconds() if request and request.ended_at else None
    return MousResult(
        uid=seen.mous_uid,
        decision=seen.decision,
        reason=(request.reason if request else "") or seen.reason,
        state=request.state if request else seen.decision,
        delivered=delivery.path if delivery else None,
        seconds=round(seconds, 1) if seconds is not None else None,
        ebs=_compare(here, archive / "reference" / seen.mous_uid.sanitised, Path(delivery.path)) if delivery else [],
    )


def _compare(here: DemoPlace, reference: Path, delivered: Path) -> list[ExecutionBlockResult]:
    """Compare the delivered MeasurementSets with the reference of the calibration, in CASA's Python."""
    answer = here.run / "comparison.json"
    subprocess.run(
        [
            str(here.casa_python),
            str(CASA_SIDE / "compare_with_reference.py"),
            *("--reference", str(reference), "--out", str(answer)),
            *(str(path) for path in sorted(delivered.glob("*.ms"))),
        ],
        env=casa_home(here.home / "cache" / "casa-home", here.casa_python),
        check=True,
        cwd=here.run,
        stdout=subprocess.DEVNULL,
    )
    return [
        ExecutionBlockResult(Uid(Path(name).stem), block["rows"], block["identical"])
        for name, block in json.loads(answer.read_text()).items()
    ]


def show(result: Result) -> None:
    table = Table(title=f"{len(result.mous)} calibrated MOUSs in {result.seconds:.0f} s")
    for heading in ("MOUS", "decision", "state", "execution blocks", "identical", "s", "reason"):
        table.add_column(heading, overflow="fold")
    for mous in result.mous:
        identical = [block.identical for block in mous.ebs]
        table.add_row(
            mous.uid,
            mous.decision,
            mous.state,
            str(len(mous.ebs) or ""),
            "" if not mous.ebs else "no reference" if None in identical else "yes" if all(identical) else "NO",
            f"{mous.seconds:.0f}" if mous.seconds is not None else "",
            mous.reason,
        )
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    for mous in result.mous:
        if mous.delivered:
            console.print(f"delivered {mous.delivered}", soft_wrap=True, highlight=False)
    console.print(
        f"{len(result.mails)} mails sent: " + "; ".join(mail["subject"] for mail in result.mails), soft_wrap=True
    )
