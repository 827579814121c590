"""The XML documents of a calibrated MOUS: the pipeline's manifest, and the request that its calibration ran by."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from xml.etree.ElementTree import Element, SubElement

from mous_spec import MousSpec, sanitised

_MOUS_FILES = (  # tag in the manifest, name after the recipe's, datatype, format
    ("weblog", "weblog.tgz", "weblog", "tgz"),
    ("casa_cmdlog", "casa_commands.log", "casa_commands", "log"),
    ("pipescript", "casa_pipescript.py", "casa_pipescript", "py"),
    ("restorescript", "casa_piperestorescript.py", "casa_piperestorescript", "py"),
    ("manifest", "pipeline_manifest.xml", "pipeline_manifest", "xml"),
    ("aux_products_file", "auxproducts.tgz", "auxproducts", "tgz"),
)


def manifest(mous: MousSpec, casa_version: str) -> bytes:
    """The pipeline manifest. It names files without the prefix that they have in the archive (DOMAIN section 11)."""
    results = Element("piperesults", name=mous.name)
    ous = SubElement(results, "ous", name=mous.name)
    SubElement(ous, "casaversion", name=casa_version)
    SubElement(ous, "pipeline_version", name=mous.pipeline_version)
    SubElement(ous, "procedure_name", name=mous.recipe)
    SubElement(SubElement(ous, "execution_environment"), "node", num_mpi_servers="0")
    _name_file(ous, mous, "piperequest", "pprequest.xml", "pprequest", "xml")
    for session, blocks in mous.sessions.items():
        entry = SubElement(ous, "session", name=session)
        SubElement(
            entry,
            "caltables",
            name=f"{mous.name}.{session}.caltables.tgz",
            ous_name="N/A",
            level="member",
            session=session,
            package=mous.recipe,
            datatype="caltables",
            format="tgz",
        )
        for block in blocks:
            asdm = SubElement(entry, "asdm", name=block.vis, datatype="asdm", format="sdm")
            flags = {"asdm": block.vis, "datatype": "ms.flagversions", "format": "tgz"}
            SubElement(asdm, "finalflags", name=f"{block.vis}.flagversions.tgz", **flags)
            calls = {"asdm": block.vis, "datatype": "ms.calapply", "format": "txt"}
            SubElement(asdm, "applycmds", name=f"{block.vis}.calapply.txt", **calls)
    for file in _MOUS_FILES:
        _name_file(ous, mous, *file)
    return _document(results)


def _name_file(ous: Element, mous: MousSpec, tag: str, name: str, datatype: str, extension: str) -> None:
    described = {"package": mous.recipe, "datatype": datatype, "format": extension}
    SubElement(ous, tag, name=f"{mous.name}.{mous.recipe}.{name}", level="member", ous=mous.name, **described)


def pipeline_request(mous: MousSpec) -> bytes:
    """The PPR of the calibration, with the elements that the pipeline reads (DOMAIN section 11)."""
    request = Element("SciPipeRequest")
    summary = SubElement(request, "ProjectSummary")
    _texts(summary, ProposalCode=mous.project_code, Observatory="ALMA", Telescope="ALMA", ProcessingSite="JAO")
    structure = SubElement(request, "ProjectStructure")
    SubElement(structure, "ObsUnitSetRef", entityId=mous.project_uid, entityTypeName="ObsProject", partId="X1")
    _texts(structure, ObsUnitSetTitle="Member OUS (DemoTarget)", ObsUnitSetType="Member")
    SubElement(structure, "ProjectStatusRef", entityId=mous.project_uid, entityTypeName="ProjectStatus")
    SubElement(structure, "OUSStatusRef", entityId=mous.uid, entityTypeName="OUSStatus")
    requests = SubElement(request, "ProcessingRequests")
    _texts(requests, RootDirectory="/original/run")
    _add_processing(SubElement(requests, "ProcessingRequest"), mous)
    return _document(request)


def _add_processing(processing: Element, mous: MousSpec) -> None:
    intents = SubElement(processing, "ProcessingIntents")
    for session in sorted({block.session for block in mous.execution_blocks}):
        uids = " | ".join(block.uid for block in mous.sessions.get(session, ()))
        _texts(SubElement(intents, "Intents"), Keyword=session.upper(), Value=uids)
    procedure = SubElement(processing, "ProcessingProcedure")
    _texts(procedure, ProcedureTitle=mous.recipe)
    command = SubElement(procedure, "ProcessingCommand")
    _texts(command, Command=mous.recipe)
    SubElement(command, "ParameterSet")
    blocks = SubElement(SubElement(processing, "DataSet"), "SchedBlockSet")
    sched_block = SubElement(blocks, "SchedBlockIdentifier")
    _texts(sched_block, RelativePath=f"MOUS_{mous.name}")
    SubElement(sched_block, "SchedBlockRef", entityId=mous.sched_block_uid, entityTypeName="SchedBlock")
    _texts(sched_block, SBTitle="DemoTarget_a_03_TM1")
    for block in mous.passed:
        asdm = SubElement(sched_block, "AsdmIdentifier")
        _texts(SubElement(asdm, "AsdmRef"), ExecBlockId=block.uid)
        _texts(asdm, AsdmDiskName=sanitised(block.uid))


def _texts(parent: Element, **texts: str) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = text


def _document(root: Element) -> bytes:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
