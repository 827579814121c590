"""What a delivery holds, and where each piece of it lies in the workspace."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from alma_restore.delivery import readme
from alma_restore.delivery.sources import Source, Tar
from alma_restore.errors import DeliveryFailed
from alma_restore.products import calapply
from alma_restore.products import manifest as manifests
from alma_restore.split import SplitOptions, delivered, window_numbers
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace, write_whole

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
    "*.flagversions.tgz",
    "*pipeline_manifest.xml",
)
"""Names of the calibration's products that are handed on, with whatever prefix they were delivered."""

_WEBLOG = "weblog_of_the_restore"
_OF_THE_RESTORE = ("PPR.xml", "restore.json", "report.html", README)


def link_measurement_sets(workspace: Workspace, names: Iterable[str]) -> tuple[Path, ...]:
    """Show the MeasurementSets in products/, as seed 1 moves them there; the data stay in working/ for another try.

    Raises:
        DeliveryFailed: one of them is not there.
    """
    links = []
    for name in names:
        made, link = workspace.working / name, workspace.products / name
        if not (made / "table.dat").is_file():
            raise DeliveryFailed(f"There is no MeasurementSet {name} in {workspace.working}.", remedy="Run CASA again.")
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(made, link.parent))
        links.append(link)
    return tuple(links)


def gather(
    workspace: Workspace,
    mous_uid: Uid,
    eb_uids: Iterable[Uid],
    split: SplitOptions | None = None,
    tar: bool = False,
) -> dict[str, Source]:
    """All files of the delivery: what they are read from, by their name in it.

    These are the MeasurementSets, the calibration's products that explain them (DOMAIN section 13), the restore's own
    PPR, report and weblog, and a README.txt that is written here.

    Args:
        split: what was split off; it is delivered in place of the whole MeasurementSets, or beside them.
        tar: each MeasurementSet is one tar file.

    Raises:
        DeliveryFailed: a MeasurementSet is missing, or a link leads out of the workspace.
    """
    names = [name for eb_uid in eb_uids for name in delivered(eb_uid, split)]
    write_whole(
        workspace.root / README, readme.write(mous_uid, names, _calibrated_windows(workspace), split, tar).encode()
    )
    inside = workspace.root.resolve()
    files: dict[str, Source] = {}
    for ms in link_measurement_sets(workspace, names):
        of_ms = _below(ms, ms.name, inside)
        files |= {f"{ms.name}.tar": Tar(of_ms)} if tar else of_ms
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


def _calibrated_windows(workspace: Workspace) -> dict[str, str]:
    """Of each MeasurementSet the spectral windows in which targets are calibrated, as CASA selects them; all: empty."""
    selections = {}
    for asdm in manifests.in_folder(workspace.products).asdms:
        calls = calapply.read(workspace.products / asdm.calapply)
        windows = [window_numbers(call.spw) for call in calls if not call.intent or "TARGET" in call.intent.split(",")]
        told = sorted(frozenset().union(*windows)) if all(windows) else []  # a window's name has no number
        selections[asdm.ms_name] = ",".join(map(str, told))
    return selections


def _below(folder: Path, name: str, inside: Path) -> dict[str, Path]:
    root = folder.resolve()
    return {f"{name}/{path.relative_to(root)}": _source(path, inside) for path in _files(root)}


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, and every link to a folder: those are not walked into."""
    for parent, folders, names in os.walk(folder, onerror=_cannot_list):
        links = (name for name in folders if (Path(parent) / name).is_symlink())
        yield from (Path(parent) / name for name in (*names, *links))


def _cannot_list(error: OSError) -> NoReturn:
    """Left out silently, as `os.walk` does, the folder would be missing in a delivery that calls itself whole."""
    raise DeliveryFailed(f"{error.filename} cannot be listed: {error.strerror}.", remedy="Look at its disk.") from error


def _source(path: Path, inside: Path) -> Path:
    """The file that is read; in a folder that has been resolved, only a link has to be."""
    file = path.resolve() if path.is_symlink() else path
    if not file.is_relative_to(inside) or not file.is_file():
        raise DeliveryFailed(f"{path} leads to {file}, which is no file of this workspace.", remedy="Remove it.")
    return file
