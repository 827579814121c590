"""Staging: every file that the pipeline will look for is there, whole, and under the name it will look for."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from alma_restore.archive.disk import writing
from alma_restore.errors import Corrupt, Inconsistent
from alma_restore.products import calapply, manifest, tarballs
from alma_restore.products.manifest import Manifest, ManifestAsdm, ManifestSession
from alma_restore.workspace import Workspace, part_of

OTHER_MANIFESTS = "manifests_of_other_runs"
"""A folder of products/ for the manifests of imaging runs."""

FLAG_VERSION = "Pipeline_Final"
"""The flags at the end of the calibration run, which a restore brings back."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What staging found and made.

    Attributes:
        manifest: the calibration run's manifest.
        links: names in products/ that stand for a file delivered under another name.
        expanded: what came out of auxproducts, now in products/.
    """

    manifest: Manifest
    links: Mapping[str, str]
    expanded: tuple[str, ...]


def stage(workspace: Workspace, files: Iterable[Path]) -> Staged:
    """Make products/ and rawdata/ what the pipeline expects; run again, it repairs what has changed.

    The manifest is also copied to rawdata/, other manifests are moved to a folder of their own, the auxproducts are
    expanded into products/, all other archives stay packed. The delivered files themselves are never changed.

    Args:
        workspace: of this restore; the delivered files lie in its products/.
        files: the delivered calibration products and scripts.

    Raises:
        Corrupt: a file is damaged.
        Inconsistent: the manifest names a file that was not delivered, or a file lacks what another one needs of it.

    Source: seed 1, "Retrieve calibration products & manifest", and DOMAIN sections 7 and 11.
    """
    delivered = {path.name: path for path in files if path.is_file()}
    chosen = manifest.choose(path for path in delivered.values() if path.match(manifest.NAME_PATTERN))
    found = {name: _find(name, chosen, delivered) for name in chosen.needed}
    for session in chosen.sessions:
        _check_session(session, found)
    expanded = _expand_auxproducts(workspace, chosen, delivered)
    _copy(delivered[chosen.file_name], workspace.rawdata)
    _set_other_manifests_aside(workspace, chosen)
    links = {name: path.name for name, path in found.items() if path.name != name}
    for name, target in links.items():
        _link(workspace.products / name, target)
    return Staged(chosen, links, expanded)


def _find(name: str, chosen: Manifest, delivered: Mapping[str, Path]) -> Path:
    """The delivered file that the manifest means: deliveries put `member.` or the MOUS before some names."""
    stem = name.removeprefix("member.")
    for spelling in (name, stem, f"member.{stem}", f"member.{chosen.ous_name}.{stem}"):
        if spelling in delivered:
            return delivered[spelling]
    raise Inconsistent(
        f"{chosen.file_name} names {name}, which is not among the {len(delivered)} product files of this MOUS.",
        remedy="Fetch the products again; if the archive has no such file, ask it for the missing one.",
    )


def _check_session(session: ManifestSession, found: Mapping[str, Path]) -> None:
    if not session.asdms:
        return
    caltables = found[session.caltables]
    tables = {name.split("/", 1)[0] for name in tarballs.check(caltables)}
    for asdm in session.asdms:
        _check_flags(asdm, found[asdm.flagversions])
        commands = found[asdm.calapply]
        calapply.check(calapply.read(commands), commands.name, asdm.ms_name, tables, caltables.name)


def _check_flags(asdm: ManifestAsdm, flagversions: Path) -> None:
    names = tarballs.check(flagversions)
    for part in ("FLAG_VERSION_LIST", f"flags.{FLAG_VERSION}"):
        wanted = f"{asdm.ms_name}.flagversions/{part}"
        if not any(name == wanted or name.startswith(f"{wanted}/") for name in names):
            raise Inconsistent(
                f"{flagversions.name} does not hold {wanted}.",
                remedy="The final flags of this execution block were not delivered; ask the archive.",
            )


def _expand_auxproducts(workspace: Workspace, chosen: Manifest, delivered: Mapping[str, Path]) -> tuple[str, ...]:
    if chosen.auxproducts:
        archives = [_find(chosen.auxproducts, chosen, delivered)]
    else:
        archives = [path for path in delivered.values() if path.match("*.auxproducts.tgz")]
    expanded: list[str] = []
    for archive in archives:
        if taken := sorted({*tarballs.check(archive)} & {*delivered, *chosen.needed}):
            raise Corrupt(
                f"{archive.name} holds {', '.join(taken)}, which would replace the delivered file of that name.",
                remedy="Nothing was unpacked. Ask the archive for the original file.",
            )
        expanded += tarballs.extract(archive, workspace.products)
    return tuple(expanded)


def _set_other_manifests_aside(workspace: Workspace, chosen: Manifest) -> None:
    """The pipeline copies every manifest of products/ to rawdata/, and there reads any one with `cal` in its name."""
    aside = workspace.products / OTHER_MANIFESTS
    for folder in (workspace.products, workspace.rawdata):
        for path in folder.glob(manifest.NAME_PATTERN):
            if path.name != chosen.file_name:
                with writing(path.name, aside):
                    aside.mkdir(exist_ok=True)
                    path.replace(aside / path.name)


def _copy(source: Path, into: Path) -> None:
    """A copy, not a link: the pipeline copies the file to the same place once more, which fails on a link to itself."""
    target = into / source.name
    if target.is_file() and not target.is_symlink() and filecmp.cmp(source, target, shallow=False):
        return
    with writing(source.name, into):
        part = part_of(target)
        shutil.copyfile(source, part)
        part.replace(target)


def _link(link: Path, target: str) -> None:
    if link.is_symlink() and str(link.readlink()) == target:
        return
    with writing(link.name, link.parent):
        part = part_of(link)
        part.unlink(missing_ok=True)
        part.symlink_to(target)
        part.replace(link)
