"""A restore in parts: each execution block has a CASA job of its own, in a workspace of its own below the restore's."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from alma_restore.ppr import build, schema
from alma_restore.ppr.build import PprInput
from alma_restore.products import manifest as manifests
from alma_restore.workspace import Workspace

_GATHERED = ("*.ms", "*.ms.flagversions")


def make(workspace: Workspace, asked: PprInput) -> None:
    """Make a part for each execution block of a PPR; what CASA has left in it already stays.

    A part has links to its raw data, copies of its products, because the pipeline writes among them, a manifest that
    names no others, and a PPR that keeps all session numbers.
    """
    manifest = workspace.products / manifests.in_folder(workspace.products).file_name
    for eb_uid in asked.eb_uids:
        part = workspace.part(eb_uid)
        shutil.rmtree(part.products, ignore_errors=True)
        part.create({**workspace.metadata(), "fileSetIds": [eb_uid]})
        _link(part.rawdata / eb_uid.sanitised, workspace.rawdata / eb_uid.sanitised)
        (part.products / manifest.name).write_bytes(manifests.for_one_eb(manifest, eb_uid))
        for name in manifests.in_folder(part.products).needed:
            shutil.copyfile(workspace.products / name, part.products / name)
        content = build.build(replace(build.for_one_eb(asked, eb_uid), root=part.root))
        schema.validate(content)
        part.ppr.write_bytes(content)


def gather(workspace: Workspace) -> None:
    """Show the MeasurementSets of the parts in the restore's own working/, by links."""
    if not workspace.parts:
        return
    workspace.empty_working()
    for part in workspace.parts:
        for pattern in _GATHERED:
            for made in part.working.glob(pattern):
                _link(workspace.working / made.name, made)


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(target, link.parent))
