"""calapply.txt: which calibration tables are applied to which data, one applycal call of literals a line."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from alma_restore.errors import Corrupt, Inconsistent, Refused
from alma_restore.split import SplitOptions, window_numbers
from alma_restore.uid import Uid

_ONE_ENTRY_A_TABLE = ("gainfield", "spwmap", "interp", "calwt")
_ARGUMENTS = {"vis", "field", "intent", "spw", "antenna", "gaintable", *_ONE_ENTRY_A_TABLE}

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class ApplyCall:
    """One applycal call: tables and, for each of them, how it is applied.

    Attributes:
        vis: the MeasurementSet, by name; the path of the calibration run means nothing here.
        field, intent, spw, antenna: the data that are calibrated; intents are the pipeline's words.
        gaintable: names of the calibration tables, without paths.
        gainfield, spwmap, interp, calwt: one entry for each table.
    """

    vis: str
    field: str
    intent: str
    spw: str
    antenna: str
    gaintable: tuple[str, ...]
    gainfield: tuple[str, ...]
    spwmap: tuple[tuple[int, ...], ...]
    interp: tuple[str, ...]
    calwt: tuple[bool, ...]


def read(path: Path) -> tuple[ApplyCall, ...]:
    """Read every call of a calapply.txt; nothing in it is executed.

    To be called before the pipeline gets the file, which evaluates each line as Python.

    Raises:
        Corrupt: a line is no applycal call of literals, or there is none; file and line are told.

    Source: DOMAIN section 11.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Corrupt(f"{path.name} cannot be read: {error}.", remedy="Fetch it again.") from error
    calls = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            try:
                calls.append(_call(line))
            except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
                raise Corrupt(
                    f"{path.name}, line {number}: not an applycal call as the pipeline writes it ({error}).",
                    remedy="Fetch it again.",
                ) from error
    if not calls:
        raise Corrupt(f"{path.name} holds no applycal call.", remedy="Fetch it again.")
    return tuple(calls)


def check(calls: Collection[ApplyCall], calapply: str, ms_name: str, tables: Iterable[str], caltables: str) -> None:
    """Make sure that the calls are about one MeasurementSet, and that every table they apply was delivered.

    Args:
        calls: what `calapply`, a file name, holds.
        ms_name: the MeasurementSet that they should be about.
        tables: what `caltables`, the tgz of the session, holds.

    Raises:
        Inconsistent: another MeasurementSet, or tables are missing; they are named.
    """
    remedy = "The delivered calibration is incomplete or mixed up; ask the archive."
    if others := sorted({call.vis for call in calls} - {ms_name}):
        raise Inconsistent(f"{calapply} calibrates {', '.join(others)} instead of {ms_name}.", remedy=remedy)
    if missing := sorted({table for call in calls for table in call.gaintable} - set(tables)):
        raise Inconsistent(f"{calapply} applies {', '.join(missing)}, which {caltables} does not hold.", remedy=remedy)


def check_split(calls: Iterable[ApplyCall], split: SplitOptions, eb_uid: Uid) -> None:
    """Make sure that there are calibrated data of what is to be split off, before CASA works for nothing.

    Raises:
        Refused: the execution block has no such intent, or no such spectral window with it.
    """
    meant = [call for call in calls if not call.intent or split.intents & set(call.intent.split(","))]
    if not meant:
        raise Refused(
            f"{eb_uid} has no calibrated {split.intent} data that could be split off.",
            code="bad_request",
            remedy="Ask for another intent, or for the restore without a split.",
        )
    windows = frozenset[int]().union(*(window_numbers(call.spw) for call in meant))
    if strange := window_numbers(split.spw) - windows:
        raise Refused(
            f"{eb_uid} has no calibrated {split.intent} data in spectral window {_listed(strange)} to be split off.",
            code="bad_request",
            remedy=f"Its calibrated spectral windows are {_listed(windows)}.",
        )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def _call(line: str) -> ApplyCall:
    if not line.startswith("applycal("):  # any other line is passed over by the pipeline, an indented call too
        raise ValueError("it does not begin with applycal(")
    call = ast.parse(line, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise ValueError("more or other than one call with named arguments")
    given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    if set(given) != _ARGUMENTS or len(call.keywords) != len(given):
        raise ValueError(f"its arguments are {', '.join(given)}")
    return _one_entry_a_table(
        ApplyCall(
            vis=_base_name(_text(given["vis"])),
            field=_text(given["field"]),
            intent=_text(given["intent"]),
            spw=_text(given["spw"]),
            antenna=_text(given["antenna"]),
            gaintable=tuple(_base_name(table) for table in _each(given["gaintable"], str)),
            gainfield=_each(given["gainfield"], str),
            spwmap=_spwmaps(given["spwmap"]),
            interp=_each(given["interp"], str),
            calwt=_each(given["calwt"], bool),
        )
    )


def _one_entry_a_table(call: ApplyCall) -> ApplyCall:
    """Refuse what the pipeline would silently cut to the shortest list, losing tables."""
    for name in _ONE_ENTRY_A_TABLE:
        count = len(getattr(call, name))
        if count != len(call.gaintable):
            raise ValueError(f"{count} of {name} for {len(call.gaintable)} of gaintable")
    return call


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _base_name(path: str) -> str:
    name = PurePosixPath(path).name
    if not name:
        raise ValueError(f"{path!r} is no path")
    return name


def _each(value: Any, kind: type[_Item]) -> tuple[_Item, ...]:
    values = tuple(value) if isinstance(value, list) else (value,)
    if not all(isinstance(item, kind) for item in values):
        raise TypeError(f"{value!r} is no {kind.__name__}, nor a list of them")
    return values


def _spwmaps(value: Any) -> tuple[tuple[int, ...], ...]:
    """One map a table; a flat list is the map of a single table, which the pipeline writes so."""
    maps = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    if not all(isinstance(each, list) and all(isinstance(item, int) for item in each) for each in maps):
        raise TypeError(f"spwmap {value!r} is no list of numbers, nor a list of such lists")
    return tuple(tuple(each) for each in maps)
