"""One restore by real CASA, looked into as the task does: what a report is made of."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from small_mous import EBS, MOUS, make_workspace, restore

from alma_restore.archive.asdm_structure import check_asdm
from alma_restore.casa import verification
from alma_restore.casa.installations import Installation
from alma_restore.catalogue.records import RequestRecord, StageTiming
from alma_restore.catalogue.store import Catalogue
from alma_restore.report import compose, facts, plots
from alma_restore.report.plots import Plots
from alma_restore.request import RestoreRequest
from alma_restore.settings import CasaSettings, VerificationSettings
from alma_restore.workspace import Workspace

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Verified:
    """A verified restore, and what its report is made of."""

    workspace: Workspace
    installation: Installation
    facts: dict[str, Any]
    plots: Plots

    def report(self, **changed: Any) -> str:
        """The report with other facts, timings or plots."""
        compose.write(
            self.workspace,
            self.installation,
            changed.get("facts", self.facts),
            changed.get("timings", timings(open_request=1, fetch_asdm=4, run_casa=10, verify=None)),
            changed.get("plots", self.plots),
            now=NOW,
        )
        return (self.workspace.root / "report.html").read_text()


def timings(**seconds: float | None) -> tuple[StageTiming, ...]:
    """Stages one after the other, of which the last has run for 5 s so far."""
    moments = [NOW - timedelta(seconds=5)]
    for each in reversed(list(seconds.values())[:-1]):
        moments.insert(0, moments[0] - timedelta(seconds=each or 0))
    ends = [*moments[1:], None]
    return tuple(StageTiming(*each) for each in zip(seconds, moments, ends, strict=True))


def restore_and_verify(demo_archive: Path, casa_python: Path, root: Path) -> Verified:
    installation = Installation(name="embedded", engine="casatasks", casa_version="6.7.0-31", python=casa_python)
    workspace = make_workspace(demo_archive, root)
    script = next((demo_archive / "ngas").glob(f"*{MOUS.sanitised}*casa_piperestorescript.py"))
    shutil.copy(script, workspace.products)
    restore(installation, workspace, CasaSettings(cores=2, poll_s=0.1))
    raw_data = {uid: check_asdm(workspace.rawdata / uid.sanitised) for uid in EBS}
    found = verification.verify(workspace, installation, raw_data, VerificationSettings())
    fetched = [path.name for path in workspace.products.glob("*uid___*") if path.is_file() and not path.is_symlink()]
    told = facts.gather(workspace, _record(root.parent), installation, raw_data, fetched, found)
    drawn = plots.draw(workspace, installation, EBS)
    return Verified(workspace, installation, json.loads(json.dumps(told)), drawn)


def _record(folder: Path) -> RequestRecord:
    catalogue = Catalogue.opened(f"sqlite:///{folder / 'catalogue.db'}")
    record = catalogue.open_request(RestoreRequest(mous_uid=MOUS), None)
    return replace(
        record,
        mous_uid=MOUS,
        casa_installation="embedded",
        casa_version="6.7.0-31",
        casa_policy="CASA 6.7.0-31 restores, the version that calibrated (6.7.0-31).",
    )
