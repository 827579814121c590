"""Which CASA restores what another CASA calibrated."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from alma_restore.errors import Inconsistent, Refused

# The first three numbers of `CASA 6.6.1-17`, `casa-release-5.4.0-68` and `6.7.0.31`, and the build after them.
_VERSION = re.compile(r"(?<![\d.])(\d+)\.(\d+)\.(\d+)(?:[-.](\d+))?(?!\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CasaVersion:
    """One CASA version; without a build number it stands for every build of its release.

    Attributes:
        release: such as (6, 5, 4).
        build: such as 9 in 6.5.4-9; None where it is not told, as in most pipeline manifests.
    """

    release: tuple[int, int, int]
    build: int | None = None

    @classmethod
    def parse(cls, text: str) -> CasaVersion:
        """Read a version as people, manifests, folders and Python packages write it.

        Raises:
            Inconsistent: no version can be read in the text.
        """
        match = _VERSION.search(text)
        if match is None:
            raise Inconsistent(f"{text[:80]!r} is no CASA version.", remedy="Write it like 6.6.1-17.")
        major, minor, patch, build = match.groups()
        return cls((int(major), int(minor), int(patch)), None if build is None else int(build))

    def same_as(self, other: CasaVersion) -> bool:
        """Whether both can be one and the same CASA."""
        return self.release == other.release and (None in (self.build, other.build) or self.build == other.build)

    @property
    def order(self) -> tuple[tuple[int, int, int], int]:
        """Sorts versions from old to new; a release without build sorts before its builds."""
        return self.release, -1 if self.build is None else self.build

    def __str__(self) -> str:
        release = ".".join(map(str, self.release))
        return release if self.build is None else f"{release}-{self.build}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The CASA that restores, and why.

    Attributes:
        version: as the installation spells it.
        how: the `same` as calibrated, the nearest `newer` one, or an operator's `override`.
        sentence: for the report and the mail; it names both versions where they differ.
    """

    version: str
    how: Literal["same", "newer", "override"]
    sentence: str


def choose(wanted: str, installed: Iterable[str], override: str = "") -> Choice:
    """Choose the CASA that restores: the one that calibrated, else the nearest newer one.

    Args:
        wanted: the version that calibrated, as the pipeline manifest tells it; empty: not known.
        installed: the versions to choose from.
        override: an explicit choice, which wins; empty: none.

    Raises:
        Refused: (code `casa_not_installed`) none that may restore is installed, or the override is not;
            (code `casa_unknown`) nobody says which CASA calibrated.
        Inconsistent: `wanted` or an installed one is no version.

    Source: DOMAIN section 8.
    """
    known = sorted(((CasaVersion.parse(text), text) for text in installed), key=lambda each: each[0].order)
    if override:
        return _explicit(wanted, known, override)
    if not wanted:
        raise Refused(
            "The pipeline manifest does not say which CASA calibrated these data.",
            code="casa_unknown",
            remedy=f"Ask for one by name; installed: {_names(known)}.",
        )
    calibrated = CasaVersion.parse(wanted)
    if same := [text for version, text in known if version.same_as(calibrated)]:
        return Choice(same[-1], "same", f"CASA {same[-1]} restores, the version that calibrated ({wanted}).")
    if newer := [text for version, text in known if version.order > calibrated.order]:
        sentence = f"CASA {newer[0]} restores, the nearest newer one installed; CASA {wanted} calibrated."
        return Choice(newer[0], "newer", sentence)
    raise Refused(
        f"CASA {wanted} calibrated these data; neither it nor a newer one is installed, only {_names(known)}.",
        code="casa_not_installed",
        remedy=f"Ask an operator to register CASA {wanted}, or ask for another version by name.",
    )


def _explicit(wanted: str, known: list[tuple[CasaVersion, str]], override: str) -> Choice:
    found = [(version, text) for version, text in known if _is(version, override)]
    if not found:
        raise Refused(
            f"CASA {override} is asked for and not installed; installed: {_names(known)}.",
            code="casa_not_installed",
            remedy="Ask for one of these, or for none: then the version that calibrated decides.",
        )
    version, text = found[-1]
    sentence = f"CASA {text} restores, as explicitly asked for"
    if not wanted:
        return Choice(text, "override", f"{sentence}.")
    calibrated = CasaVersion.parse(wanted)
    if version.same_as(calibrated):
        return Choice(text, "override", f"{sentence}; it is also the version that calibrated ({wanted}).")
    older = " The one that restores is older." if version.order < calibrated.order else ""
    return Choice(text, "override", f"{sentence}; CASA {wanted} calibrated.{older}")


def _is(version: CasaVersion, asked: str) -> bool:
    try:
        return version.same_as(CasaVersion.parse(asked))
    except Inconsistent:  # somebody asked for "newest": nothing of that name is installed
        return False


def _names(known: list[tuple[CasaVersion, str]]) -> str:
    return ", ".join(text for _, text in known) or "none"
