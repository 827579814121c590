"""Builds the PPR: the XML that tells the CASA pipeline what to restore."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from lxml import etree

from alma_restore.archive.records import ProjectStructure, SchedBlock
from alma_restore.errors import Inconsistent
from alma_restore.ppr.commands import BASIC_RESTORE, ProcessingCommand
from alma_restore.rules.sessions import Session
from alma_restore.uid import Uid

PROCEDURE = "hifa_restore_aat_ppi"
EB_SEPARATOR = " | "
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_NAMESPACES = {
    "ent": "Alma/CommonEntity",
    "val": "Alma/ValueTypes",
    "prp": "Alma/ObsPrep/ObsProposal",
    "orv": "Alma/ObsPrep/ObsReview",
    "ps": "Alma/ObsPrep/ProjectStatus",
    "oat": "Alma/ObsPrep/ObsAttachment",
    "prj": "Alma/ObsPrep/ObsProject",
    "sbl": "Alma/ObsPrep/SchedBlock",
    "xsi": _XSI,
}
_RESULTS_PROCESSING = {
    "ArchiveResults": "false",
    "CleanUpDisk": "false",
    "UpdateProjectLifeCycle": "false",
    "NotifyOperatorWhenDone": "false",
    "PipelineOperatorAdress": "Unknown",  # spelled so in the observatory's schema
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PprInput:
    """What one PPR says.

    Attributes:
        structure: the project, and where the MOUS stands in it.
        sched_block: the one of `rules.sched_block`; a PPR holds its uid and its status uid only.
        sessions: every session 1..N with the execution blocks to restore, empty ones too.
        root: the spool folder; SCIPIPE_ROOTDIR overrides it.
        relative_path: from there to the folder of rawdata/, products/ and working/.
        created: UTC; whole seconds are kept.
        procedure: the title of the procedure, which the weblog shows.
    """

    structure: ProjectStructure
    mous_uid: Uid
    sched_block: SchedBlock
    sessions: tuple[Session, ...]
    root: Path
    created: datetime
    relative_path: str = "."
    site: str = "NAASC"
    operator: str = "unknown"
    procedure: str = PROCEDURE
    commands: tuple[ProcessingCommand, ...] = BASIC_RESTORE

    @property
    def eb_uids(self) -> tuple[Uid, ...]:
        return tuple(uid for session in self.sessions for uid in session.eb_uids)


def for_one_eb(ppr_input: PprInput, eb_uid: Uid) -> PprInput:
    """The same request for one of its execution blocks, which keeps its session's number.

    Raises:
        Inconsistent: the request does not name it.
    """
    if eb_uid not in ppr_input.eb_uids:
        raise Inconsistent(f"{eb_uid} is none of the execution blocks that the PPR of {ppr_input.mous_uid} names.")
    alone = (replace(each, eb_uids=tuple(uid for uid in each.eb_uids if uid == eb_uid)) for each in ppr_input.sessions)
    return replace(ppr_input, sessions=tuple(alone))


def build(ppr_input: PprInput) -> bytes:
    """Write the PPR in full, as the observatory's schema wants it.

    Raises:
        Inconsistent: a value cannot be written, or the SchedBlock has no status entity to refer to.

    Source: seed 1, "Empty PPR structure", and DOMAIN section 11.
    """
    root = etree.Element("SciPipeRequest", {f"{{{_XSI}}}type": "SciPipeRequest"}, nsmap=_NAMESPACES)
    entity = {"entityId": "UID_UNASSIGNED", "entityTypeName": "SciPipeRequest", "datamodelVersion": "0.1"}
    _add(root, "SciPipeRequestEntity", **entity)
    _project_summary(_add(root, "ProjectSummary"), ppr_input)
    _project_structure(_add(root, "ProjectStructure"), ppr_input)
    request = _add(_add(root, "ProcessingRequests"), "ProcessingRequest")
    _add(request, "RootDirectory", str(ppr_input.root))
    _intents(_add(request, "ProcessingIntents"), ppr_input)
    _procedure(_add(request, "ProcessingProcedure"), ppr_input)
    _data_set(_add(request, "DataSet"), ppr_input)
    results = _add(root, "ResultsProcessing")
    for tag, text in _RESULTS_PROCESSING.items():
        _add(results, tag, text)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _project_summary(summary: etree._Element, ppr_input: PprInput) -> None:
    _add(summary, "ProposalCode", ppr_input.structure.project_code)
    _add(summary, "ProposalTitle", "unknown")
    _add(summary, "Observatory", "ALMA")
    _add(summary, "Telescope", "ALMA")
    _add(summary, "ProcessingSite", ppr_input.site)
    _add(summary, "Operator", ppr_input.operator)
    _add(summary, "Mode", "CSV")
    _add(summary, "Version", "Undefined")
    _add(summary, "CreationTime", ppr_input.created.astimezone(timezone.utc).strftime(TIME_FORMAT))


def _project_structure(structure: etree._Element, ppr_input: PprInput) -> None:
    project = ppr_input.structure
    _add(
        structure,
        "ObsUnitSetRef",
        entityId=project.obs_unit_set_uid,
        partId=project.obs_unit_set_part_id,
        entityTypeName="ObsProject",
    )
    _add(structure, "ObsUnitSetTitle", "Undefined")
    _add(structure, "ObsUnitSetType", "Member")
    status = {"entityId": project.project_status_uid, "entityTypeName": "ProjectStatus", "documentVersion": "1"}
    _add(structure, "ProjectStatusRef", **status)
    _add(structure, "OUSStatusRef", entityId=ppr_input.mous_uid, entityTypeName="OUSStatus")


def _intents(intents: etree._Element, ppr_input: PprInput) -> None:
    sessions = {f"SESSION_{each.number}": EB_SEPARATOR.join(each.eb_uids) for each in ppr_input.sessions}
    for keyword, value in {
        "PROCESS": "true",
        **sessions,
        "INTERFEROMETRY_STANDARD_OBSERVING_MODE": "Undefined",
    }.items():
        _keyword(_add(intents, "Intents"), keyword, value)


def _procedure(procedure: etree._Element, ppr_input: PprInput) -> None:
    _add(procedure, "ProcedureTitle", ppr_input.procedure)
    for each in ppr_input.commands:
        command = _add(procedure, "ProcessingCommand")
        _add(command, "Command", each.name)
        parameters = _add(command, "ParameterSet")
        for keyword, value in each.parameters.items():
            _keyword(_add(parameters, "Parameter"), keyword, value)


def _data_set(data_set: etree._Element, ppr_input: PprInput) -> None:
    block = ppr_input.sched_block
    if block.status_uid is None:
        raise Inconsistent(
            f"The SchedBlock {block.uid} has no entry in SCHED_BLOCK_STATUS, which the PPR has to name.",
            remedy="Ask the archive to mend its metadata.",
        )
    identifier = _add(_add(data_set, "SchedBlockSet"), "SchedBlockIdentifier")
    _add(identifier, "RelativePath", ppr_input.relative_path)
    _add(identifier, "SchedBlockRef", entityId=block.uid, entityTypeName="SchedBlock", documentVersion="1")
    _add(identifier, "SBStatusRef", entityId=block.status_uid, entityTypeName="SBStatus")
    _add(identifier, "SBTitle", "Undefined")
    for eb_uid in ppr_input.eb_uids:
        asdm = _add(identifier, "AsdmIdentifier")
        _add(_add(asdm, "AsdmRef"), "ExecBlockId", eb_uid)
        _add(asdm, "AsdmDiskName", eb_uid.sanitised)


def _keyword(parent: etree._Element, keyword: str, value: str) -> None:
    _add(parent, "Keyword", keyword)
    _add(parent, "Value", value)


def _add(parent: etree._Element, tag: str, text: str = "", **attributes: str) -> etree._Element:
    try:
        element = etree.SubElement(parent, tag, attributes)
        element.text = text or None
    except ValueError as error:
        values = ", ".join(map(repr, filter(None, [text, *attributes.values()])))
        raise Inconsistent(f"{values} cannot be written as <{tag}> of the PPR: {error}.") from error
    return element
