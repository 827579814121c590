"""CAPO profiles: NRAO's `.properties` files, told in the words of our own settings.

`CAPO_PROFILE` names a profile, `CAPO_PATH` the folders that may hold `<profile>.properties`; all files found are read,
and what a later one says overrides an earlier one (DOMAIN section 13).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alma_restore.errors import Misconfigured

PROFILE_VARIABLE = "CAPO_PROFILE"
PATH_VARIABLE = "CAPO_PATH"
DEFAULT_PATH = "/home/casa/capo:/home/ssa/capo:$HOME/.capo"

OWN_PREFIX = "almaRestore."
"""`almaRestore.casa.cores = 4` sets `casa.cores`: every setting can be given so."""

# [guess] Only the first word is public; these are the names that a host and a port would have.
SETTING_OF: Mapping[str, str] = MappingProxyType(
    {
        "almaNgasSystem.host": "ngas.host",
        "almaNgasSystem.port": "ngas.port",
    }
)
"""NRAO's own properties, and the setting that each one fills."""

_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_SEPARATOR = re.compile(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def settings_values(environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The settings that the chosen profile fills, nested as in our own profile files; empty without a profile.

    Raises:
        Misconfigured: the profile is in none of the folders, or a file of it cannot be read.
    """
    values: dict[str, Any] = {}
    for name, text in profile(environ).items():
        setting = name.removeprefix(OWN_PREFIX) if name.startswith(OWN_PREFIX) else SETTING_OF.get(name)
        if setting:
            *sections, field = setting.split(".")
            place = values
            for section in sections:
                place = place.setdefault(section, {})
                if not isinstance(place, dict):
                    raise Misconfigured(
                        f"The CAPO property {name} is inside of what another one sets.",
                        remedy=f"Give {setting} or the whole section that it belongs to, not both.",
                    )
            place[field] = _value(name, text)
    return values


def profile(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Every property of the profile that `CAPO_PROFILE` names; empty without one.

    Raises:
        Misconfigured: as `settings_values`.
    """
    name = environ.get(PROFILE_VARIABLE, "").strip()
    if not name:
        return {}
    if "/" in name:
        raise Misconfigured(f"{name!r} is no name of a CAPO profile.", remedy=f"Mend {PROFILE_VARIABLE}.")
    folders = _folders(environ)
    files = [file for folder in folders if (file := folder / f"{name}.properties").is_file()]
    if not files:
        where = ", ".join(map(str, folders))
        raise Misconfigured(
            f"There is no {name}.properties in {where}.", remedy=f"Mend {PROFILE_VARIABLE} or {PATH_VARIABLE}."
        )
    found: dict[str, str] = {}
    for file in files:
        try:
            found |= read_properties(file.read_text(encoding="latin-1"))
        except OSError as error:
            raise Misconfigured(f"The CAPO profile {file} cannot be read: {error}.") from error
    return found


def read_properties(text: str) -> dict[str, str]:
    """Read the text of a Java `.properties` file as `java.util.Properties.load` does.

    Comments begin with `#` or `!`; `=`, `:` or a blank ends a name; a backslash at the end of a line joins the next
    one; `\\t`, `\\n`, `\\r`, `\\f` and `\\u0041` are escapes, and any other backslash only protects what follows. Of a
    name given twice the last value counts.
    """
    properties = {}
    for line in _logical_lines(text):
        match = _SEPARATOR.fullmatch(line)
        if match:
            name, value = match.groups()
            properties[_plain(name)] = _plain(value)
    return properties


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments and blank ones, continued lines joined."""
    joined = ""
    for natural in re.split(r"\r\n|\r|\n", text):
        line = natural.lstrip(" \t\f")
        if not joined and (not line or line[0] in "#!"):
            continue
        joined += line
        if _CONTINUED.search(line):
            joined = joined[:-1]
            continue
        yield joined
        joined = ""
    if joined:
        yield joined


def _plain(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        escape = match[1]
        return chr(int(escape[1:], 16)) if len(escape) > 1 else _CONTROL.get(escape, escape)

    return _ESCAPE.sub(replace, text)


def _folders(environ: Mapping[str, str]) -> list[Path]:
    home = environ.get("HOME", "")
    path = environ.get(PATH_VARIABLE) or DEFAULT_PATH
    return [Path(part.replace("$HOME", home)).expanduser() for part in path.split(":") if part]


def _value(name: str, text: str) -> Any:
    """Lists and tables are written as JSON; anything else is text, which the settings convert."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Misconfigured(
            f"The CAPO property {name} is no JSON: {error}.", remedy=f"It says {text[:80]!r}."
        ) from error
