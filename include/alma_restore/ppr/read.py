"""Reads a PPR back into what it was built from."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from lxml import etree

from alma_restore.archive.records import ProjectStructure, SchedBlock
from alma_restore.errors import Inconsistent
from alma_restore.ppr import schema
from alma_restore.ppr.build import TIME_FORMAT, PprInput
from alma_restore.ppr.commands import ProcessingCommand
from alma_restore.rules.sessions import Session
from alma_restore.uid import Uid


def read(path: Path) -> PprInput:
    """Read one of our PPRs.

    Raises:
        Inconsistent: it is not there, or `schema.validate` finds it wrong.
        Corrupt: it is no XML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Inconsistent(f"The PPR {path} cannot be read: {error}.", remedy="Write it again.") from error
    return parse(content)


def parse(content: bytes) -> PprInput:
    """The same for a PPR in memory."""
    root = schema.validate(content)
    numbered = schema.sessions(root)
    return PprInput(
        structure=ProjectStructure(
            project_code=_text(root, "ProjectSummary/ProposalCode"),
            obs_unit_set_uid=_uid(root, "ProjectStructure/ObsUnitSetRef"),
            obs_unit_set_part_id=_one(root, "ProjectStructure/ObsUnitSetRef").get("partId", ""),
            project_status_uid=_uid(root, "ProjectStructure/ProjectStatusRef"),
        ),
        mous_uid=_uid(root, "ProjectStructure/OUSStatusRef"),
        sched_block=SchedBlock(
            uid=_uid(root, ".//SchedBlockRef"),
            status_uid=_uid(root, ".//SBStatusRef"),
            state="",
            name="",
            requested_array="",
        ),
        sessions=tuple(Session(number, uids) for number, uids in numbered.items()),
        root=Path(_text(root, ".//RootDirectory")),
        created=_time(_text(root, "ProjectSummary/CreationTime")),
        relative_path=_text(root, ".//RelativePath"),
        site=_text(root, "ProjectSummary/ProcessingSite"),
        operator=_text(root, "ProjectSummary/Operator"),
        procedure=_text(root, ".//ProcedureTitle"),
        commands=tuple(_command(element) for element in root.iter("ProcessingCommand")),
    )


def _command(element: etree._Element) -> ProcessingCommand:
    parameters = {each.findtext("Keyword", ""): each.findtext("Value", "") for each in element.iter("Parameter")}
    return ProcessingCommand(_text(element, "Command"), parameters)


def _time(text: str) -> datetime:
    return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=timezone.utc)


def _text(root: etree._Element, path: str) -> str:
    return _one(root, path).text or ""


def _uid(root: etree._Element, path: str) -> Uid:
    return Uid(_one(root, path).get("entityId", ""))


def _one(root: etree._Element, path: str) -> etree._Element:
    found = root.find(path)
    if found is None:
        raise Inconsistent(f"The PPR has no {path}.")
    return found
