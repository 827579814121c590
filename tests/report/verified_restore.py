"""One restore by real CASA, looked into as the task does: what a report is made of."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from small_mous import EBS, MOUS, make_workspace, restore

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.source import Archive
from alma_restore.casa.installations import Installation
from alma_restore.catalogue.records import StageTiming
from alma_restore.catalogue.store import Catalogue
from alma_restore.report import compose, plots
from alma_restore.report.plots import Plots
from alma_restore.request import RestoreRequest
from alma_restore.restore import calibrating
from alma_restore.restore.fetching import wanted_products
from alma_restore.restore.house import House
from alma_restore.settings import CasaSettings, load
from alma_restore.workspace import Workspace

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


TIMINGS = (
    StageTiming("open_request", ago(20), ago(19)),
    StageTiming("fetch_asdm", ago(19), ago(15)),
    StageTiming("run_casa", ago(15), ago(5)),
    StageTiming("verify", ago(5), None),
)


@dataclass(frozen=True)
class Verified:
    """A verified restore, and what its report is made of."""

    house: House
    request_id: str
    installation: Installation
    plots: Plots

    @property
    def workspace(self) -> Workspace:
        return self.house.workspace(self.request_id)

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.workspace.root / "restore.json").read_text())

    def report(self, **changed: Any) -> str:
        """The report with other facts, timings or plots."""
        compose.write(
            self.workspace,
            self.installation,
            changed.get("facts", self.facts),
            changed.get("timings", TIMINGS),
            changed.get("plots", self.plots),
            now=NOW,
        )
        return (self.workspace.root / "report.html").read_text()


def restore_and_verify(archive: Path, casa_python: Path, root: Path) -> Verified:
    """One restore from the archive to its report, each stage as the task calls it; fetching is copying here."""
    metadata = Metadata(lambda: closing(embedded.connect(archive / "metadata.sqlite")))
    workspace = make_workspace(archive, root)
    for file in wanted_products(metadata.product_files(MOUS)):
        shutil.copy(archive / "ngas" / file.file_id, workspace.products)
    installation = Installation(name="embedded", engine="casatasks", casa_version="6.7.0-31", python=casa_python)
    restore(installation, workspace, CasaSettings(cores=2, poll_s=0.1))
    house = _house(root.parent, installation, Archive(metadata, ngas=None, exporter=None))
    record = house.catalogue.open_request(RestoreRequest(mous_uid=MOUS))
    house.catalogue.identify(record.id, MOUS, fingerprint="")
    house.catalogue.set_workspace(record.id, str(root))
    house.catalogue.set_casa(record.id, "embedded", "6.7.0-31", "CASA 6.7.0-31 restores, the version that calibrated.")
    house.catalogue.start_stage(record.id, "verify")
    calibrating.verify(house, record.id)
    return Verified(house, record.id, installation, plots.draw(workspace, installation, EBS))


def _house(home: Path, installation: Installation, archive: Archive) -> House:
    installations = home / "installations.toml"
    installations.write_text(
        f"[[installation]]\nname = '{installation.name}'\nengine = '{installation.engine}'\n"
        f"casa_version = '{installation.casa_version}'\npython = '{installation.python}'\n"
    )
    settings = load(home=home, casa={"installations": installations})
    return House(settings, Catalogue.opened(settings.catalogue), archive, send_mail=print, open_sftp=print)
