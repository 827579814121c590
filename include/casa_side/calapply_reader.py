"""Read calapply.txt: which calibration tables were applied to which data, and how."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from signs import corrupt


@dataclass(frozen=True)
class ApplyCall:
    """One `applycal(...)` line. Tables are named without the path of the run that made them.

    Attributes:
        intents: pipeline words (`BANDPASS`, `PHASE`, ...); empty: any intent.
        tables, gainfield, spwmap, interp, calwt: one entry a table, in parallel.
    """

    field: str
    intents: tuple[str, ...]
    spw: str
    tables: tuple[str, ...]
    gainfield: tuple[str, ...]
    spwmap: tuple[list[int], ...]
    interp: tuple[str, ...]
    calwt: tuple[bool, ...]


def read(path: Path) -> tuple[ApplyCall, ...]:
    """Read all calls of a file. Nothing in it is executed: literals only.

    Raises:
        RestoreFailed: a line is no call of literals, or the file holds no call.

    Source: DOMAIN section 11.
    """
    try:
        lines = [line for line in path.read_text().splitlines() if line.startswith("applycal(")]
        calls = tuple(_call(_arguments(line)) for line in lines)
    except FileNotFoundError as error:
        message = f"{path.name}, which the manifest names, is not in {path.parent.name}/."
        raise corrupt(path.name, message) from error
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise corrupt(path.name, f"{path.name} cannot be read: {error}.") from error
    if not calls:
        raise corrupt(path.name, f"{path.name} applies no calibration at all.")
    return calls


def _arguments(line: str) -> dict[str, Any]:
    call = ast.parse(line.strip(), mode="eval").body
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def _call(arguments: dict[str, Any]) -> ApplyCall:
    tables = [path.rpartition("/")[2] for path in _several(arguments["gaintable"])]
    spwmap = arguments["spwmap"]
    call = ApplyCall(
        field=arguments["field"],
        intents=tuple(word for word in arguments["intent"].split(",") if word),
        spw=arguments["spw"],
        tables=tuple(tables),
        gainfield=tuple(_several(arguments["gainfield"])),
        spwmap=tuple(spwmap) if spwmap and isinstance(spwmap[0], (list, tuple)) else (spwmap,),
        interp=tuple(_several(arguments["interp"])),
        calwt=tuple(_several(arguments["calwt"])),
    )
    lengths = {len(call.tables), len(call.gainfield), len(call.spwmap), len(call.interp), len(call.calwt)}
    if len(lengths) != 1:
        raise ValueError(f"gaintable, gainfield, spwmap, interp and calwt differ in length ({sorted(lengths)})")
    return call


def _several(value: Any) -> list[Any]:
    """A single value may stand for a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]
