"""Read the pipeline manifest: which product belongs to which session and execution block."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from signs import corrupt, inconsistent


@dataclass(frozen=True)
class Products:
    """The calibration products of one execution block, by the names the manifest gives them."""

    session: str
    flagversions: str
    calapply: str
    renormalised: bool


@dataclass(frozen=True)
class Manifest:
    """Attributes:
    procedure: the recipe that calibrated, such as `hifa_calimage`.
    caltables: session name -> name of its caltables tar file.
    products: MS name -> its products.
    """

    path: Path
    procedure: str
    caltables: dict[str, str]
    products: dict[str, Products]

    def caltables_of(self, session: str) -> str:
        """The tar file of a session; a manifest without sessions files everything under `default`."""
        name = self.caltables.get(session) or self.caltables.get("default")
        if name is None:
            known = ", ".join(sorted(self.caltables)) or "none"
            raise inconsistent(session, f"{session} is not in the manifest {self.path.name} (it has: {known}).")
        return name

    def products_of(self, ms: str, session: str) -> Products:
        """The products of one MS, which must lie in the session that the PPR puts it in."""
        found = self.products.get(ms)
        if found is None:
            raise inconsistent(ms[:-3], f"{ms[:-3]} is not in the manifest {self.path.name}: it was not calibrated.")
        if session != found.session and session in self.caltables:
            raise inconsistent(
                ms[:-3],
                f"The PPR puts {ms[:-3]} in {session}, the manifest {self.path.name} in {found.session}.",
            )
        return found


def find(folders: tuple[Path, ...]) -> Path:
    """Choose the manifest of the calibration: of those that name execution blocks, the one with `cal` in its name.

    Args:
        folders: where to look; the same name in a later folder replaces that in an earlier one.

    Source: DOMAIN section 7.
    """
    by_name = {path.name: path for folder in folders for path in folder.glob("*pipeline_manifest.xml")}
    if not by_name:
        looked = " or ".join(f"{folder.name}/" for folder in folders)
        raise corrupt("pipeline_manifest.xml", f"There is no pipeline manifest in {looked}.")
    naming = [name for name, path in by_name.items() if _names_execution_blocks(path)] or [*by_name]
    of_calibration = [name for name in naming if "cal" in name]
    return by_name[min(of_calibration or naming)]


def _names_execution_blocks(path: Path) -> bool:
    """Those of imaging runs do not, also where `cal` is in their name, as in `hifa_image_selfcal`."""
    try:
        return ElementTree.parse(path).getroot().find("ous/session/asdm") is not None
    except (OSError, ElementTree.ParseError):
        return True  # if it is the one that is meant, `read` tells its damage


def read(path: Path) -> Manifest:
    """Raises:
    RestoreFailed: the manifest is not well-formed, or an execution block lacks its products.
    """
    try:
        ous = ElementTree.parse(path).getroot().find("ous")
    except (OSError, ElementTree.ParseError) as error:
        raise corrupt(path.name, f"The manifest {path.name} cannot be read: {error}.") from error
    if ous is None:
        raise corrupt(path.name, f"The manifest {path.name} describes no ObsUnitSet.")
    sessions = {session.get("name", ""): session for session in ous.iter("session")}
    return Manifest(
        path=path,
        procedure=_name(ous, "procedure_name"),
        caltables={
            session: _name(element, "caltables") for session, element in sessions.items() if _name(element, "caltables")
        },
        products={
            asdm.get("name", ""): Products(
                session=session,
                flagversions=_needed(asdm, "finalflags", path),
                calapply=_needed(asdm, "applycmds", path),
                renormalised=_is_renormalised(asdm),
            )
            for session, element in sessions.items()
            for asdm in element.iter("asdm")
        },
    )


def _is_renormalised(asdm: ElementTree.Element) -> bool:
    """Did the calibration scale the data themselves (hifa_renorm of 2021-2023)? Then a restore must do it again."""
    renorm = asdm.find("hifa_renorm")
    return renorm is not None and renorm.get("apply", "").strip() == "True"


def _name(element: ElementTree.Element, tag: str) -> str:
    found = element.find(tag)
    return "" if found is None else found.get("name", "")


def _needed(asdm: ElementTree.Element, tag: str, path: Path) -> str:
    name = _name(asdm, tag)
    if not name or name == "Undefined":
        eb = asdm.get("name", "").removesuffix(".ms")
        raise corrupt(eb, f"The manifest {path.name} names no {tag} for {eb}.")
    return name
