"""Ways to spoil what a restore works on: DOMAIN section 12, and what section 9 says users suffer from."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

from small_mous import SECOND

from alma_restore.workspace import Workspace


def repack(archive: Path, keep: Callable[[str], bool]) -> None:
    """Leave members out of a tar file."""
    part = archive.with_suffix(".part")
    with tarfile.open(archive) as old, tarfile.open(part, "w:gz") as new:
        for member in old:
            if keep(member.name):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
    part.replace(archive)


def truncate(path: Path, fraction: float = 0.5) -> None:
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * fraction))


def replace_in(paths: Path | list[Path], old: str, new: str) -> None:
    for path in paths if isinstance(paths, list) else [paths]:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


def remove(paths: Path | list[Path]) -> None:
    for path in paths if isinstance(paths, list) else [paths]:
        path.unlink()


def raw(workspace: Workspace) -> Path:
    return workspace.rawdata / SECOND.sanitised


def the(workspace: Workspace, pattern: str) -> Path:
    (found,) = workspace.products.glob(pattern)
    return found


def binary(workspace: Workspace) -> Path:
    return sorted((raw(workspace) / "ASDMBinary").iterdir())[1]


def manifests(workspace: Workspace) -> list[Path]:
    return [*workspace.root.glob("*/*pipeline_manifest.xml")]


Damage = Callable[[Workspace], None]
FLAGS = f"{SECOND.sanitised}.ms.flagversions.tgz"
IN_SECOND = f"{SECOND.sanitised}.ms."

DAMAGES: dict[str, Damage] = {
    "caltables missing": lambda w: remove(the(w, "*session_3.caltables.tgz")),
    "caltables truncated": lambda w: truncate(the(w, "*session_1.caltables.tgz")),
    "a table not in caltables": lambda w: repack(
        the(w, "*session_1.caltables.tgz"), lambda name: not (IN_SECOND in name and "bcal" in name)
    ),
    "a table without its data": lambda w: repack(
        the(w, "*session_1.caltables.tgz"), lambda name: not ("bcal" in name and "table.f" in name)
    ),
    "flags missing": lambda w: remove(the(w, FLAGS)),
    "flags truncated": lambda w: truncate(the(w, FLAGS)),
    "flags without their data": lambda w: repack(the(w, FLAGS), lambda name: not name.endswith("table.dat")),
    "flags of no Pipeline_Final": lambda w: repack(the(w, FLAGS), lambda name: "flags.Pipeline_Final" not in name),
    "calapply is no list of calls": lambda w: replace_in(
        the(w, f"{IN_SECOND}calapply.txt"), "interp=", "interp=open('x') or "
    ),
    "no manifest": lambda w: remove(manifests(w)),
    "wrong session": lambda w: replace_in(w.ppr, "SESSION_3", "SESSION_5"),
    "session not in manifest": lambda w: replace_in(manifests(w), 'name="session_3"', 'name="session_4"'),
    "execution block not in manifest": lambda w: replace_in(
        manifests(w), f'"{SECOND.sanitised}.ms"', '"uid___A002_X1_X1.ms"'
    ),
    "renormalised": lambda w: replace_in(manifests(w), "<finalflags", '<hifa_renorm apply="True"/><finalflags'),
    "unknown command": lambda w: replace_in(w.ppr, "hifa_restoredata", "hifa_unheard_of"),
    "unknown parameter": lambda w: replace_in(
        w.ppr,
        "<ParameterSet/>",
        "<ParameterSet><Parameter><Keyword>speed</Keyword><Value>1</Value></Parameter></ParameterSet>",
    ),
    "unknown intent": lambda w: replace_in(the(w, f"{IN_SECOND}calapply.txt"), "'TARGET'", "'MOON'"),
    "no execution block": lambda w: replace_in(w.ppr, "AsdmIdentifier", "Nothing"),
    "no command": lambda w: replace_in(w.ppr, "ProcessingCommand", "Nothing"),
    "PPR not well-formed": lambda w: truncate(w.ppr),
    "wrong RelativePath": lambda w: replace_in(w.ppr, "<RelativePath>.<", "<RelativePath>elsewhere<"),
    "one ASDM absent": lambda w: raw(w).rename(w.root / "gone"),
    "BDF missing": lambda w: remove(binary(w)),
    "BDF truncated": lambda w: truncate(binary(w)),
    "bogus intent": lambda w: replace_in(raw(w) / "Scan.xml", "CALIBRATE_PHASE", "CALIBRATE_BOGUS"),
    "table that CASA skips": lambda w: truncate(raw(w) / "Annotation.xml"),
    "table that CASA stumbles over": lambda w: truncate(raw(w) / "Antenna.xml"),
    "table that aborts CASA": lambda w: truncate(raw(w) / "Polarization.xml"),
    "table that crashes CASA": lambda w: replace_in(raw(w) / "ExecBlock.xml", "<numAntenna>10<", "<numAntenna>ten<"),
}
