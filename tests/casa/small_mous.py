"""A MOUS of the demo in a workspace, as the stages before CASA leave it."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.casa import job, outcome
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.demo.archive import DEMO_MOUSS, DemoMous
from alma_restore.ppr import build
from alma_restore.ppr.commands import restore_and_split
from alma_restore.products import staging
from alma_restore.rules.sched_block import choose
from alma_restore.rules.sessions import number_sessions
from alma_restore.settings import CasaSettings
from alma_restore.split import SplitOptions
from alma_restore.workspace import Workspace

MOUS = DEMO_MOUSS[0].uid
EBS = tuple(eb.uid for eb in DEMO_MOUSS[0].ebs if eb.qa0 == "Pass")
FIRST, SECOND, THIRD = EBS


def make_workspace(
    archive: Path, root: Path, split: SplitOptions | None = None, mous: DemoMous = DEMO_MOUSS[0]
) -> Workspace:
    """Everything of a MOUS; the demo's first one has three execution blocks, of which the last is in session 3."""
    ebs = [eb.uid for eb in mous.ebs if eb.qa0 == "Pass"]
    workspace = Workspace(root).create({"fileSetIds": ebs})
    metadata = Metadata(lambda: closing(embedded.connect(archive / "metadata.sqlite")))
    for uid in ebs:
        shutil.copytree(archive / "asdm" / uid.sanitised, workspace.rawdata / uid.sanitised)
    files = [archive / "ngas" / file.file_id for file in metadata.product_files(mous.uid)]
    wanted = [Path(shutil.copy(file, workspace.products)) for file in files if file.suffix in (".tgz", ".txt", ".xml")]
    staging.stage(workspace, wanted)
    ppr = build.PprInput(
        structure=metadata.project_structure(mous.uid),
        mous_uid=mous.uid,
        sched_block=choose(metadata.sched_blocks(mous.uid)),
        sessions=number_sessions(metadata.execution_blocks(mous.uid)),
        root=root,
        created=datetime(2026, 1, 1, tzinfo=timezone.utc),
        commands=restore_and_split(split),
    )
    workspace.ppr.write_bytes(build.build(ppr))
    return workspace


def restore(installation: Installation, workspace: Workspace, casa: CasaSettings) -> None:
    """Run CASA as the task does: start it, follow it, judge it."""
    launcher = LocalLauncher()
    handle = job.start_or_attach(launcher, installation, workspace, casa)
    outcome.judge(workspace, job.watch(launcher, handle, workspace, casa, print))
