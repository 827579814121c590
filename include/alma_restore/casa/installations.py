"""The CASA installations that can restore: which there are, what each can do, and which one a restore gets."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, SubprocessError, run
from typing import Any

from pydantic import ValidationError

from alma_restore.casa import renormalisation
from alma_restore.casa.installation import Installation
from alma_restore.errors import Misconfigured, Refused
from alma_restore.products.manifest import Manifest
from alma_restore.rules import casa_version
from alma_restore.rules.casa_version import CasaVersion, Choice
from alma_restore.settings import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["Chosen", "Installation", "among", "choose", "for_looking", "load", "named", "registered"]

PYTHON_VARIABLE = "ALMA_RESTORE_CASA_PYTHON"

_PATHS = ("python", "home", "scriptdir", "runpipeline")
_ASK_VERSION = "from importlib.metadata import version; print(version('casatasks'))"
_ASK_TIMEOUT_S = 60.0
_LOOKS = """
import sys
from importlib.util import find_spec
sys.exit(sys.version_info < (3, 10) or not find_spec("casatools") or not find_spec("casaconfig"))
"""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The installation that a restore gets, and why."""

    installation: Installation
    choice: Choice


def load(settings: Settings) -> tuple[Installation, ...]:
    """The installations that can run where this profile runs CASA, in the order of the file.

    Without a file there is one: the CASA packages that `./run setup` installs, or ALMA_RESTORE_CASA_PYTHON's.

    Raises:
        Misconfigured: the file cannot be used, and everything that is wrong is named; or it has an engine that only
            copies, and this is no load test.
    """
    launcher = settings.casa.launcher
    return tuple(each for each in registered(settings) if not each.launchers or launcher in each.launchers)


def registered(settings: Settings) -> tuple[Installation, ...]:
    """All installations, wherever they can run, in the order of the file.

    Raises:
        Misconfigured: as `load` does.
    """
    path = settings.casa.installations
    found = _own(settings) if path is None else _read(path)
    copying = [each for each in found if each.engine == "copy"]
    if copying and not settings.load_test:
        raise Misconfigured(
            f"The CASA installation {_names(copying)} only copies: it is for load tests, and restores nothing.",
            remedy=f"Take it out of {path}; a load test, never a production system, sets ALMA_RESTORE_LOAD_TEST=true.",
        )
    return found


def named(name: str, installed: Sequence[Installation]) -> Installation:
    """The installation of this name.

    Raises:
        Misconfigured: there is none (any more).
    """
    for each in installed:
        if each.name == name:
            return each
    raise Misconfigured(
        f"No CASA installation {name!r} is registered; there are: {_names(installed)}.",
        remedy="Register it again (docs/casa.md), or start a new request.",
    )


def choose(manifest: Manifest, installed: Sequence[Installation], asked: str = "") -> Chosen:
    """Choose the installation that restores; among several of one version the first of the file.

    Args:
        manifest: of the calibration run.
        asked: an explicit choice: a version, a name or a folder of an installation; empty: none.

    Raises:
        Refused: the version policy finds none, or none that is left can repeat the renormalisation.

    Source: DOMAIN section 8.
    """
    candidates = [each for each in among(asked, installed) if each.can_repeat(manifest)]
    if installed and not candidates:
        _refuse_renormalised(manifest, asked, installed)
    versions = [each.casa_version for each in candidates]
    choice = casa_version.choose(manifest.casa_version, versions, override=versions[0] if asked else "")
    return Chosen(next(each for each in candidates if each.casa_version == choice.version), choice)


def for_looking(restores: Installation, found: Sequence[Installation]) -> Installation:
    """The installation whose Python looks into the results: the one that restores if it can, else the newest that can.

    Any CASA reads the MeasurementSets of an older one; our programs need Python 3.10, as CASA has had it since 6.6.

    Args:
        found: all that are registered.

    Raises:
        Misconfigured: none can.
    """
    newest_first = sorted(found, key=lambda each: CasaVersion.parse(each.casa_version).order, reverse=True)
    for each in (restores, *newest_first):
        if each.python and _can_look(each.python):
            return each
    raise Misconfigured(
        f"{restores.name} restores, and nothing can verify what it makes: no Python of a registered CASA is 3.10 or "
        "newer and has casatools and casaconfig.",
        remedy='Register the packages of `./run setup` beside it (engine = "casatasks", docs/casa.md).',
    )


def among(asked: str, installed: Sequence[Installation]) -> tuple[Installation, ...]:
    """The installations that an explicit choice can mean; all of them where there is none.

    Raises:
        Refused: (code `casa_not_installed`) there is none of that version, name or folder.
    """
    if not asked:
        return tuple(installed)
    by_name = tuple(each for each in installed if asked == each.name or Path(asked) == each.home)
    if by_name:
        return by_name
    version_or_folder = Path(asked).name  # /home/casa/packages/RHEL6/release/casa-release-5.4.0-68
    versions = [each.casa_version for each in installed]
    version = casa_version.choose("", versions, override=version_or_folder).version
    return tuple(each for each in installed if each.casa_version == version)


def _refuse_renormalised(manifest: Manifest, asked: str, installed: Sequence[Installation]) -> None:
    renormalised = ", ".join(asdm.eb_uid for asdm in manifest.asdms if asdm.needs_renormalisation)
    able = _names([each for each in installed if each.can_repeat(manifest)])
    raise Refused(
        f"{asked or 'No registered CASA'} cannot restore {renormalised}: the calibration renormalised these data "
        "(usual from 2021 to 2023), which only a CASA with the ALMA pipeline can repeat, of these versions: "
        f"{renormalisation.in_words(manifest)}.",
        code="needs_pipeline",
        remedy=f"Installations that can: {able}.",
    )


def _own(settings: Settings) -> tuple[Installation, ...]:
    given = os.environ.get(PYTHON_VARIABLE)
    python = Path(given) if given else settings.home.absolute() / "env" / "casa" / "bin" / "python"
    version = _version_of(python)
    return (Installation(name=f"casatasks-{version}", engine="casatasks", casa_version=version, python=python),)


def _read(path: Path) -> tuple[Installation, ...]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unusable(path, f"it cannot be read: {error}") from error
    entries = content.pop("installation", None)
    if content or not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _unusable(path, "it has to consist of [[installation]] tables")
    found = tuple(_entry(path, number, entry) for number, entry in enumerate(entries, start=1))
    twice = [name for name, times in Counter(each.name for each in found).items() if times > 1]
    if twice:
        raise _unusable(path, f"more than one installation is called {', '.join(twice)}")
    return found


def _entry(path: Path, number: int, entry: dict[str, Any]) -> Installation:
    folder = path.parent.absolute()  # where relative paths start, so that a file and what it names can move together
    paths = {name: folder / Path(entry[name]).expanduser() for name in _PATHS if _is_text(entry.get(name))}
    known = {**entry, **paths}
    if entry.get("engine") == "casatasks" and "casa_version" not in entry and "python" in paths:
        known["casa_version"] = _version_of(paths["python"])
    try:
        return Installation.model_validate(known)
    except ValidationError as error:
        wrong = "; ".join(_sentence(detail) for detail in error.errors())
        raise _unusable(path, f"installation {number} ({entry.get('name', 'no name')}): {wrong}") from error


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _sentence(detail: Any) -> str:
    field = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message


@cache
def _can_look(python: Path) -> bool:
    try:
        answer = run([python, "-I", "-c", _LOOKS], stdin=DEVNULL, capture_output=True, timeout=_ASK_TIMEOUT_S)
    except (OSError, SubprocessError):  # not on this machine
        return False
    return answer.returncode == 0


@cache
def _version_of(python: Path) -> str:
    """Ask an interpreter which CASA it has, without importing it, which takes seconds."""
    try:
        answer = run(
            [python, "-I", "-c", _ASK_VERSION],
            stdin=DEVNULL,
            capture_output=True,
            timeout=_ASK_TIMEOUT_S,
        )
    except (OSError, SubprocessError) as error:
        raise Misconfigured(
            f"CASA's Python {python} cannot be started: {error}.",
            remedy=f"`./run setup` installs it; or set {PYTHON_VARIABLE}, or register another one (docs/casa.md).",
        ) from error
    if answer.returncode != 0:
        raise Misconfigured(
            f"The Python {python} has no casatasks package.",
            remedy="Install requirements-casa.txt for it, or register another one (docs/casa.md).",
        )
    return str(CasaVersion.parse(answer.stdout.decode()))


def _names(installed: Sequence[Installation]) -> str:
    return ", ".join(each.name for each in installed) or "none"


def _unusable(path: Path, what: str) -> Misconfigured:
    return Misconfigured(f"The CASA installations file {path} cannot be used: {what}.", remedy="See docs/casa.md.")
