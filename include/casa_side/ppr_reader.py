"""Read a pipeline processing request as the ALMA pipeline reads it."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from signs import casa_failed


@dataclass(frozen=True)
class ExecutionBlock:
    """One raw data set: its name in rawdata/ and the session the calibration products file it under."""

    asdm: str
    session: str

    @property
    def ms(self) -> str:
        return self.asdm + ".ms"


@dataclass(frozen=True)
class Request:
    """What the PPR asks for.

    Attributes:
        folder: the folder that holds rawdata/, products/ and working/.
        mous: sanitised uid of the MOUS.
        commands: (task name, {parameter: text}), in order.
    """

    folder: Path
    mous: str
    procedure: str
    execution_blocks: tuple[ExecutionBlock, ...]
    commands: tuple[tuple[str, dict[str, str]], ...]


def read(path: Path) -> Request:
    """Read the PPR's first processing request; SCIPIPE_ROOTDIR, if set, overrides its root folder.

    Raises:
        RestoreFailed: the PPR is not well-formed, or lists no execution block or no command.

    Source: DOMAIN sections 4, 11 and 12.
    """
    try:
        root = _without_namespaces(ElementTree.parse(path).getroot())
    except (OSError, ElementTree.ParseError) as error:
        raise casa_failed(path.name, f"The PPR {path} cannot be read: {error}.") from error
    request = Request(
        folder=Path(_root_folder(root)) / _text(root, ".//SchedBlockIdentifier/RelativePath"),
        mous=_sanitised(_attribute(root, ".//OUSStatusRef", "entityId")),
        procedure=_text(root, ".//ProcessingProcedure/ProcedureTitle") or "Undefined",
        execution_blocks=tuple(_execution_blocks(root)),
        commands=tuple(_commands(root)),
    )
    for found, what in ((request.execution_blocks, "execution block"), (request.commands, "command")):
        if not found:
            raise casa_failed(path.name, f"The PPR {path} lists no {what}.")
    return request


def _execution_blocks(root: ElementTree.Element) -> Iterator[ExecutionBlock]:
    """An execution block that no session names belongs to session_1, as in the pipeline."""
    sessions = dict(_sessions(root))
    for identifier in root.iterfind(".//SchedBlockIdentifier/AsdmIdentifier"):
        asdm = _text(identifier, "AsdmDiskName")
        yield ExecutionBlock(asdm, next((name for name, asdms in sessions.items() if asdm in asdms), "session_1"))


def _sessions(root: ElementTree.Element) -> Iterator[tuple[str, list[str]]]:
    """SESSION_1, SESSION_2, ... up to the first missing number."""
    intents = {_text(intent, "Keyword"): _text(intent, "Value") for intent in root.iterfind(".//Intents")}
    number = 1
    while (value := intents.get(f"SESSION_{number}")) is not None:
        yield f"session_{number}", [_sanitised(uid.strip()) for uid in value.split("|")]
        number += 1


def _commands(root: ElementTree.Element) -> Iterator[tuple[str, dict[str, str]]]:
    for command in root.iterfind(".//ProcessingCommand"):
        parameters = command.iterfind("ParameterSet/Parameter")
        yield _text(command, "Command"), {_text(one, "Keyword"): _text(one, "Value") for one in parameters}


def _root_folder(root: ElementTree.Element) -> str:
    return os.environ.get("SCIPIPE_ROOTDIR") or os.path.expandvars(_text(root, ".//RootDirectory"))


def _sanitised(uid: str) -> str:
    return uid.replace(":", "_").replace("/", "_")


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _attribute(element: ElementTree.Element, path: str, name: str) -> str:
    found = element.find(path)
    return "" if found is None else found.get(name, "")


def _without_namespaces(root: ElementTree.Element) -> ElementTree.Element:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
