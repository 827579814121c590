"""The pipeline manifest: what the calibration run delivered, session by session."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from alma_restore import guarded_xml
from alma_restore.errors import Corrupt, Inconsistent, Refused
from alma_restore.uid import Uid

NAME_PATTERN = "*pipeline_manifest.xml"

_FILE_NAME = re.compile(r"[A-Za-z0-9_+\-][A-Za-z0-9_.+\-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class ManifestAsdm:
    """One execution block, as the manifest names its MeasurementSet and its products.

    Attributes:
        eb_uid: the execution block.
        ms_name: the MeasurementSet, `uid___A002_X3_X4.ms`.
        flagversions: its final flags, a tgz.
        calapply: its calibration commands, a text file.
        renorm: parameters of the renormalisation that a restore has to repeat; only 2021-2023 data have them.
    """

    eb_uid: Uid
    ms_name: str
    flagversions: str
    calapply: str
    renorm: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_renormalisation(self) -> bool:
        return self.renorm.get("apply", "").strip().lower() == "true"


@dataclass(frozen=True, slots=True)
class ManifestSession:
    """One observing session: its calibration tables, a tgz, and the execution blocks that they calibrate."""

    name: str
    caltables: str
    asdms: tuple[ManifestAsdm, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pipeline manifest says. A text that it leaves out is empty.

    Attributes:
        file_name: the manifest's own file.
        ous_name: the MOUS, sanitised.
        casa_version, pipeline_version, procedure: what calibrated the data.
        auxproducts: the tgz of flux.csv, antennapos.csv, cont.dat and the flag templates.
        restorescript: the pipeline's own script for this restore.
    """

    file_name: str
    ous_name: str
    casa_version: str
    pipeline_version: str
    procedure: str
    sessions: tuple[ManifestSession, ...]
    auxproducts: str = ""
    restorescript: str = ""

    @property
    def asdms(self) -> tuple[ManifestAsdm, ...]:
        return tuple(asdm for session in self.sessions for asdm in session.asdms)

    @property
    def needed(self) -> tuple[str, ...]:
        """The files that a restore cannot do without, under the names that the pipeline looks for."""
        caltables = tuple(session.caltables for session in self.sessions if session.asdms)
        return caltables + tuple(name for asdm in self.asdms for name in (asdm.flagversions, asdm.calapply))

    def eb_uids_by_session(self) -> dict[str, tuple[Uid, ...]]:
        """What was calibrated together: the execution blocks of each `session_N`."""
        return {session.name: tuple(asdm.eb_uid for asdm in session.asdms) for session in self.sessions}


def in_folder(products: Path) -> Manifest:
    """The manifest of the calibration run among the product files of one MOUS."""
    return choose(products.glob(NAME_PATTERN))


def choose(paths: Iterable[Path]) -> Manifest:
    """Choose the manifest of the calibration run: of those that name execution blocks the one with `cal` in its name.

    Imaging runs leave manifests of their own, which name none. The pipeline goes by the name alone, and takes that of
    `hifa_image_selfcal` too: `staging` sees to it that it meets no other than this one.

    Raises:
        Inconsistent: there is none, or two of them tell of different calibrations.
        Corrupt: as `read`.

    Source: DOMAIN section 11.
    """
    found = sorted(paths, key=lambda path: path.name)
    if not found:
        raise Inconsistent(
            "The calibration products hold no pipeline manifest.",
            remedy="Data processed before October 2017 have none and cannot be restored; else ask the archive.",
        )
    naming = [path for path in found if _names_execution_blocks(path)] or found
    calibrations = [path for path in naming if "cal" in path.name] or naming
    manifest = read(calibrations[0])
    for other in calibrations[1:]:
        if read(other).sessions != manifest.sessions:
            raise Inconsistent(
                f"{manifest.file_name} and {other.name} tell of different calibrations of one MOUS.",
                remedy="Ask the archive which of them is valid.",
            )
    return manifest


def _names_execution_blocks(path: Path) -> bool:
    try:
        return guarded_xml.parse(path).find("ous/session/asdm") is not None
    except Corrupt:
        return True  # if it is the one that is meant, `read` tells its damage


def read(path: Path) -> Manifest:
    """Read a pipeline manifest.

    Raises:
        Corrupt: it is no well-formed manifest, or names what cannot be a file; the element is told.
        Inconsistent: it does not say how to restore an execution block that it names, or names none.
    """
    root = guarded_xml.parse(path)
    if root.tag != "piperesults":
        raise _corrupt(path.name, root, "is not a pipeline manifest's <piperesults>")
    reader = _Reader(path.name)
    ous = reader.one(root, "ous")
    manifest = Manifest(
        file_name=path.name,
        ous_name=reader.name(ous),
        casa_version=reader.told(ous, "casaversion"),
        pipeline_version=reader.told(ous, "pipeline_version"),
        procedure=reader.told(ous, "procedure_name"),
        sessions=tuple(reader.session(element) for element in ous.findall("session")),
        auxproducts=reader.file(ous, "aux_products_file"),
        restorescript=reader.file(ous, "restorescript"),
    )
    _check(manifest)
    return manifest


def for_one_eb(path: Path, eb_uid: Uid) -> bytes:
    """The same manifest without its other execution blocks: the pipeline copies all files that a manifest names."""
    root = guarded_xml.parse(path)
    for ous in root.findall("ous"):
        for session in ous.findall("session"):
            for asdm in session.findall("asdm"):
                if _execution_block(asdm.get("name", "")) != eb_uid:
                    session.remove(asdm)
            if session.find("asdm") is None:
                ous.remove(session)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads elements and names the file and the line when one is not as it should be."""

    file_name: str

    def session(self, element: etree._Element) -> ManifestSession:
        return ManifestSession(
            name=self.name(element),
            caltables=self.file(element, "caltables"),
            asdms=tuple(self.asdm(child) for child in element.findall("asdm")),
        )

    def asdm(self, element: etree._Element) -> ManifestAsdm:
        ms_name = self.name(element)
        renorm = element.find("hifa_renorm")
        eb_uid = _execution_block(ms_name)
        if eb_uid is None:
            raise _corrupt(self.file_name, element, f"names {ms_name!r}, the MeasurementSet of no execution block")
        return ManifestAsdm(
            eb_uid=eb_uid,
            ms_name=ms_name,
            flagversions=self.file(element, "finalflags"),
            calapply=self.file(element, "applycmds"),
            renorm={} if renorm is None else {str(key): str(value) for key, value in renorm.attrib.items()},
        )

    def one(self, parent: etree._Element, tag: str) -> etree._Element:
        found = parent.findall(tag)
        if len(found) != 1:
            raise _corrupt(self.file_name, parent, f"holds {len(found)} <{tag}> instead of one")
        return found[0]

    def name(self, element: etree._Element) -> str:
        name = (element.get("name") or "").strip()
        if not name:
            raise _corrupt(self.file_name, element, "has no name")
        return name

    def told(self, parent: etree._Element, tag: str) -> str:
        element = parent.find(tag)
        return "" if element is None else (element.get("name") or "").strip()

    def file(self, parent: etree._Element, tag: str) -> str:
        """The file that an optional element names: a plain file name, never a path."""
        element = parent.find(tag)
        if element is None:
            return ""
        name = self.name(element)
        if not _FILE_NAME.fullmatch(name):
            raise _corrupt(self.file_name, element, f"names {name!r}, which is no plain file name")
        return name


def _execution_block(ms_name: str) -> Uid | None:
    try:
        eb_uid = Uid(ms_name.removesuffix(".ms"))
    except Refused:
        return None
    return eb_uid if ms_name == f"{eb_uid.sanitised}.ms" else None


def _check(manifest: Manifest) -> None:
    if not manifest.asdms:
        raise _inconsistent(manifest, "names no calibrated execution block")
    for session in manifest.sessions:
        if session.asdms and not session.caltables:
            raise _inconsistent(manifest, f"names no <caltables> for {session.name}")
        for asdm in session.asdms:
            for tag, name in (("finalflags", asdm.flagversions), ("applycmds", asdm.calapply)):
                if not name:
                    raise _inconsistent(manifest, f"names no <{tag}> for {asdm.ms_name}")
    for what, names in (
        ("session", [session.name for session in manifest.sessions]),
        ("execution block", [asdm.ms_name for asdm in manifest.asdms]),
    ):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise _inconsistent(manifest, f"names {what} {', '.join(twice)} twice")


def _inconsistent(manifest: Manifest, what: str) -> Inconsistent:
    remedy = "A calibration run's manifest names all of them; ask the archive for the right one."
    return Inconsistent(f"{manifest.file_name} {what}.", remedy=remedy)


def _corrupt(file_name: str, element: etree._Element, what: str) -> Corrupt:
    return Corrupt(f"{file_name}: <{element.tag}> in line {element.sourceline} {what}.", remedy="Fetch it again.")
