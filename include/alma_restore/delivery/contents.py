"""What a delivery holds, and where each piece of it lies in the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from alma_restore.errors import DeliveryFailed
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

README = "README.txt"

_PRODUCTS = (
    "*.weblog.tgz",
    "*.calapply.txt",
    "*casa_piperestorescript.py",
    "*casa_pipescript.py",
    "*casa_commands.log",
    "*flux.csv",
    "*antennapos.csv",
    "*cont.dat",
    "*flag*template.txt",
    "*.caltables.tgz",
    "*pipeline_manifest.xml",
)
"""Names of the calibration's products that are handed on, with whatever prefix they were delivered."""

_WEBLOG = "weblog_of_the_restore"
_OF_THE_RESTORE = ("PPR.xml", "restore.json", "report.html", README)


def link_measurement_sets(workspace: Workspace, eb_uids: Iterable[Uid]) -> tuple[Path, ...]:
    """Show the MeasurementSets in products/, as seed 1 moves them there; the data stay in working/ for another try.

    Raises:
        DeliveryFailed: an execution block has no MeasurementSet.
    """
    links = []
    for eb_uid in eb_uids:
        made, link = (folder / f"{eb_uid.sanitised}.ms" for folder in (workspace.working, workspace.products))
        if not (made / "table.dat").is_file():
            raise DeliveryFailed(
                f"There is no MeasurementSet of {eb_uid} in {workspace.working}.", remedy="Run CASA again."
            )
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(made, link.parent))
        links.append(link)
    return tuple(links)


def gather(workspace: Workspace, mous_uid: Uid, eb_uids: Iterable[Uid]) -> dict[str, Path]:
    """All files of the delivery: their sources by their name in it.

    These are the MeasurementSets, the calibration's products that explain them (DOMAIN section 13), the restore's own
    PPR, report and weblog, and a README.txt that is written here.

    Raises:
        DeliveryFailed: a MeasurementSet is missing, or a link leads out of the workspace.
    """
    eb_uids = tuple(eb_uids)
    (workspace.root / README).write_text(_readme(mous_uid, eb_uids))
    inside = workspace.root.resolve()
    files: dict[str, Path] = {}
    for ms in link_measurement_sets(workspace, eb_uids):
        files |= _below(ms, ms.name, inside)
    for pattern in _PRODUCTS:
        for path in sorted(workspace.products.glob(pattern)):
            if path.is_file() and not path.is_symlink():  # a link is a second name, made for the pipeline
                files[path.name] = path.resolve()
    for name in _OF_THE_RESTORE:
        if (workspace.root / name).is_file():
            files[name] = (workspace.root / name).resolve()
    for run in workspace.runs:
        name = f"{_WEBLOG}/{run.root.name}" if run.is_part else _WEBLOG
        for weblog in sorted(run.working.glob("pipeline-*/html"))[-1:]:
            files |= _below(weblog, name, inside)
    return files


def _below(folder: Path, name: str, inside: Path) -> dict[str, Path]:
    return {f"{name}/{path.relative_to(folder)}": _resolved(path, inside) for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, and every link to a folder: those are not walked into."""
    for parent, folders, names in os.walk(folder):
        links = (name for name in folders if (Path(parent) / name).is_symlink())
        yield from (Path(parent) / name for name in (*names, *links))


def _resolved(path: Path, inside: Path) -> Path:
    resolved = path.resolve()
    if not resolved.is_relative_to(inside) or not resolved.is_file():
        raise DeliveryFailed(f"{path} leads to {resolved}, which is no file of this workspace.", remedy="Remove it.")
    return resolved


def _readme(mous_uid: Uid, eb_uids: tuple[Uid, ...]) -> str:
    measurement_sets = "\n".join(f"  {eb_uid.sanitised}.ms" for eb_uid in eb_uids)
    return f"""\
Calibrated data of ALMA MOUS {mous_uid}

MeasurementSets, one for each execution block that passed QA0. The column DATA holds the raw visibilities,
CORRECTED_DATA the calibrated ones; the flags are those at the end of the observatory's calibration.
{measurement_sets}

Is everything here as it was delivered?
  sha256sum -c --quiet SHA256SUMS

Open it in CASA:
  listobs(vis='{eb_uids[0].sanitised}.ms')
  plotms(vis='{eb_uids[0].sanitised}.ms', ydatacolumn='corrected', xaxis='frequency', yaxis='amp')
Image with tclean(..., datacolumn='corrected'). To go on with the calibrated data of the targets alone:
  split(vis='{eb_uids[0].sanitised}.ms', outputvis='target.ms', intent='*TARGET*', datacolumn='corrected')

What else is here
  report.html                   this restore on one page, with plots: open it in a browser
  restore.json                  what was checked after the restore, with the figures
  PPR.xml                       the pipeline processing request of this restore
  *.caltables.tgz, *.calapply.txt   the calibration tables, and how they were applied
  *pipeline_manifest.xml        what the observatory's calibration run made, and with which CASA
  *casa_piperestorescript.py    restores by hand; *casa_pipescript.py calibrates anew
  *.weblog.tgz                  the web pages of the calibration run
"""
