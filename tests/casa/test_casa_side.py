"""The programs that run inside CASA's Python, as far as they need no CASA: reading, planning, refusing."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import asdm_rows
import calapply_reader
import casa_log
import intents
import manifest_reader
import plan
import ppr_reader
import signs
import tar_products
from alma_restore.workspace import Workspace
from signs import RestoreFailed

PPR = """<?xml version="1.0"?>
<r:SciPipeRequest xmlns:r="Alma/Anything">
 <ProjectStructure><OUSStatusRef entityId="uid://A001/X12d1/X23e"/></ProjectStructure>
 <ProcessingRequests><RootDirectory>{root}</RootDirectory><ProcessingRequest>
  <ProcessingIntents>{intents}</ProcessingIntents>
  <ProcessingProcedure><ProcedureTitle>hifa_restore_aat_ppi</ProcedureTitle>
   <ProcessingCommand><Command>hifa_restoredata</Command><ParameterSet>{parameters}</ParameterSet></ProcessingCommand>
  </ProcessingProcedure>
  <DataSet><SchedBlockSet><SchedBlockIdentifier><RelativePath>some/where</RelativePath>{asdms}
  </SchedBlockIdentifier></SchedBlockSet></DataSet>
 </ProcessingRequest></ProcessingRequests>
</r:SciPipeRequest>"""


@pytest.fixture
def ppr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ppr_reader.Request]:
    monkeypatch.delenv("SCIPIPE_ROOTDIR", raising=False)

    def write(sessions: dict[str, str], asdms: tuple[str, ...], parameters: str = "") -> ppr_reader.Request:
        said = "".join(f"<Intents><Keyword>{k}</Keyword><Value>{v}</Value></Intents>" for k, v in sessions.items())
        named = "".join(f"<AsdmIdentifier><AsdmDiskName> {name} </AsdmDiskName></AsdmIdentifier>" for name in asdms)
        path = tmp_path / "PPR.xml"
        path.write_text(PPR.format(root="/spool", intents=said, asdms=named, parameters=parameters))
        return ppr_reader.read(path)

    return write


def test_sessions_are_read_up_to_the_first_missing_number(ppr: Callable[..., ppr_reader.Request]) -> None:
    request = ppr(
        {"SESSION_1": "", "SESSION_2": "uid://A002/X1/Xa | uid://A002/X1/Xb", "SESSION_4": "uid://A002/X1/Xc"},
        ("uid___A002_X1_Xa", "uid___A002_X1_Xb", "uid___A002_X1_Xc"),
    )
    assert [(block.asdm[-2:], block.session) for block in request.execution_blocks] == [
        ("Xa", "session_2"),
        ("Xb", "session_2"),
        ("Xc", "session_1"),  # in no session that is read: as in the pipeline
    ]
    assert request.folder == Path("/spool/some/where")
    assert request.mous == "uid___A001_X12d1_X23e"
    assert request.commands == (("hifa_restoredata", {}),)


def test_scipipe_rootdir_overrides_the_root_of_the_ppr(
    ppr: Callable[..., ppr_reader.Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ppr({"SESSION_1": ""}, ("uid___A002_X1_Xa",))
    monkeypatch.setenv("SCIPIPE_ROOTDIR", "/elsewhere")
    assert ppr_reader.read(tmp_path / "PPR.xml").folder == Path("/elsewhere/some/where")


MANIFEST = """<piperesults><ous name="u"><procedure_name name="hifa_calimage"/>
<session name="{session}"><caltables name="a.tgz"/><asdm name="uid___A002_X1_Xa.ms"><finalflags name="f.tgz"/>
<applycmds name="c.txt"/>{renorm}</asdm></session></ous></piperesults>"""


def manifest(folder: Path, session: str = "session_1", renorm: str = "") -> manifest_reader.Manifest:
    path = folder / "u.hifa_calimage.pipeline_manifest.xml"
    path.write_text(MANIFEST.format(session=session, renorm=renorm))
    return manifest_reader.read(path)


def test_of_several_manifests_the_calibrations_is_read(tmp_path: Path) -> None:
    for name in ("a.hifa_image", "b.hifa_calimage", "c.hifa_selfcal_image"):
        (tmp_path / f"{name}.pipeline_manifest.xml").touch()
    assert manifest_reader.find((tmp_path,)).name == "b.hifa_calimage.pipeline_manifest.xml"


def test_a_later_folders_manifest_replaces_an_earlier_ones(tmp_path: Path) -> None:
    for name in ("rawdata", "products"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipeline_manifest.xml").touch()
    assert manifest_reader.find((tmp_path / "rawdata", tmp_path / "products")).parent.name == "products"


def test_a_manifest_without_sessions_files_everything_under_default(tmp_path: Path) -> None:
    found = manifest(tmp_path, session="default")
    assert found.caltables_of("session_7") == "a.tgz"
    assert found.products_of("uid___A002_X1_Xa.ms", "session_7").calapply == "c.txt"


@pytest.mark.parametrize(
    ("renorm", "renormalised"),
    [
        ("", False),
        ('<hifa_renorm apply="True" threshold="1.01"/>', True),
        ('<hifa_renorm apply="False"/>', False),
        ("<hifa_renorm/>", False),
    ],
)
def test_renormalised_data_are_known_by_their_manifest(tmp_path: Path, renorm: str, renormalised: bool) -> None:
    found = manifest(tmp_path, renorm=renorm)
    assert found.products_of("uid___A002_X1_Xa.ms", "session_1").renormalised is renormalised


LINE = "applycal(vis='/old/uid___A002_X1_Xa.ms', field='J1', intent='{intent}', spw='0~1', antenna='0~9', {rest})\n"


def calapply(folder: Path, rest: str, intent: str = "BANDPASS,PHASE") -> tuple[calapply_reader.ApplyCall, ...]:
    path = folder / "c.txt"
    path.write_text("# Apply file for uid___A002_X1_Xa.ms\n" + LINE.format(intent=intent, rest=rest))
    return calapply_reader.read(path)


def test_every_option_of_a_calapply_line_is_kept(tmp_path: Path) -> None:
    (call,) = calapply(
        tmp_path,
        "gaintable=['/old/a.tsys.tbl', '/old/b.wvr'], gainfield=['nearest', '0'], spwmap=[[0, 1, 2, 1], []], "
        "interp=['linear,linear', 'nearest'], calwt=[True, False]",
    )
    assert call == calapply_reader.ApplyCall(
        field="J1",
        intents=("BANDPASS", "PHASE"),
        spw="0~1",
        tables=("a.tsys.tbl", "b.wvr"),
        gainfield=("nearest", "0"),
        spwmap=([0, 1, 2, 1], []),
        interp=("linear,linear", "nearest"),
        calwt=(True, False),
    )


@pytest.mark.parametrize("spwmap", ["[]", "[0, 0]", "[[0, 0]]"])
def test_single_values_may_stand_for_a_list_of_one(tmp_path: Path, spwmap: str) -> None:
    (call,) = calapply(tmp_path, f"gaintable='/old/a.tbl', gainfield='', spwmap={spwmap}, interp='linear', calwt=True")
    assert (call.tables, call.gainfield, call.interp, call.calwt) == (("a.tbl",), ("",), ("linear",), (True,))
    assert call.spwmap == (([0, 0],) if "0" in spwmap else ([],))


@pytest.mark.parametrize(
    "rest",
    [
        "gaintable=__import__('os').system('touch hacked')",
        "gaintable=['a', 'b'], gainfield='', spwmap=[], interp='linear', calwt=True",
        "gaintable=['a'], gainfield=''",
        "gaintable=['a'",
    ],
    ids=["code", "lists of different lengths", "options missing", "cut short"],
)
def test_a_calapply_line_that_is_no_call_of_literals_is_corrupt(tmp_path: Path, rest: str) -> None:
    with pytest.raises(RestoreFailed) as caught:
        calapply(tmp_path, rest)
    assert caught.value.kind == "corrupt"
    assert not Path("hacked").exists()


OBS_MODES = [
    "CALIBRATE_BANDPASS#ON_SOURCE,CALIBRATE_FLUX#ON_SOURCE,CALIBRATE_WVR#ON_SOURCE",
    "CALIBRATE_PHASE#ON_SOURCE,CALIBRATE_WVR#ON_SOURCE",
    "OBSERVE_TARGET#ON_SOURCE",
    "OBSERVE_TARGET#OFF_SOURCE",
    "CALIBRATE_POL_LEAKAGE.ON_SOURCE,CALIBRATE_POLARIZATION_ON_SOURCE",
]


@pytest.mark.parametrize(
    ("words", "selection"),
    [
        ("BANDPASS", "CALIBRATE_BANDPASS#ON_SOURCE"),
        ("AMPLITUDE,PHASE", "CALIBRATE_FLUX#ON_SOURCE,CALIBRATE_PHASE#ON_SOURCE"),
        ("TARGET", "OBSERVE_TARGET#ON_SOURCE"),
        ("POLARIZATION", "CALIBRATE_POLARIZATION_ON_SOURCE"),
        ("POLLEAKAGE", "CALIBRATE_POL_LEAKAGE.ON_SOURCE"),
        ("CHECK", ""),
        ("WVR,ATMOSPHERE", ""),
        (
            "",
            "CALIBRATE_BANDPASS#ON_SOURCE,CALIBRATE_FLUX#ON_SOURCE,CALIBRATE_PHASE#ON_SOURCE,"
            "CALIBRATE_POLARIZATION_ON_SOURCE,CALIBRATE_POL_LEAKAGE.ON_SOURCE,OBSERVE_TARGET#ON_SOURCE",
        ),
    ],
)
def test_pipeline_words_become_the_intents_that_the_data_have(words: str, selection: str) -> None:
    assert intents.casa_intents([word for word in words.split(",") if word], OBS_MODES) == selection


CONFIGURATION = "<T><row><configDescriptionId>C0</configDescriptionId><numDataDescription>2</numDataDescription>"
MAIN_ROW = (
    "<row><scanNumber>{scan}</scanNumber><configDescriptionId>C0</configDescriptionId><numAntenna>{antennas}"
    "</numAntenna><numIntegration>{integrations}</numIntegration><timeSampling>{sampling}</timeSampling>"
    '<dataUID><EntityRef entityId="uid://A002/X1/X{scan}"/></dataUID></row>'
)


@pytest.mark.parametrize(
    ("mode", "per_integration"), [("CROSS_AND_AUTO", 2 * 10), ("CROSS_ONLY", 2 * 6), ("AUTO_ONLY", 2 * 4)]
)
def test_rows_are_counted_scan_by_scan_as_importasdm_makes_them(
    tmp_path: Path, mode: str, per_integration: int
) -> None:
    configuration = f"{CONFIGURATION}<correlationMode>{mode}</correlationMode></row></T>"
    (tmp_path / "ConfigDescription.xml").write_text(configuration)
    rows = [(1, 4, 10, "INTEGRATION"), (1, 4, 5, "INTEGRATION"), (2, 4, 3, "SUBINTEGRATION")]
    names = ("scan", "antennas", "integrations", "sampling")
    main = "".join(MAIN_ROW.format(**dict(zip(names, row, strict=True))) for row in rows)
    (tmp_path / "Main.xml").write_text(f"<T>{main}</T>")
    found = asdm_rows.expected_rows(tmp_path)
    assert (found[1].rows, found[1].exact, found[1].binaries) == (15 * per_integration, True, ("uid___A002_X1_X1",) * 2)
    assert not found[1].agrees(15 * per_integration - 1)
    assert not found[1].agrees(15 * per_integration + 1)
    assert found[2].agrees(300 * per_integration)
    assert not found[2].agrees(0)


def tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, 1 if kind == tarfile.REGTYPE else 0
    return info


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside"),
        member("/outside"),
        member("a/../../outside"),
        member("a", tarfile.SYMTYPE, "/etc"),
        member("a", tarfile.LNKTYPE, "b"),
        member("a", tarfile.CHRTYPE),
        member("a", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)
def test_nothing_hostile_leaves_a_tar_file(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(RestoreFailed, match="which no calibration product has"):
        tar_products.unpack(tar(tmp_path / "a.tgz", member("table.tbl/table.dat"), hostile), into)
    assert not (tmp_path / "outside").exists()
    assert {path.name for path in into.iterdir()} <= {"table.tbl"}


def test_the_failure_line_can_be_read_back() -> None:
    failure = RestoreFailed("corrupt", "uid___A002_X1_X2", "Two: lines\nare one.")
    read = signs.RestoreFailed.from_line(failure.line())
    assert read is not None
    assert (read.kind, read.subject, read.sentence) == ("corrupt", "uid___A002_X1_X2", "Two: lines are one.")
    assert signs.RestoreFailed.from_line("FAILED to open x: y") is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ConversionException : cannot convert table State. Caught", "importasdm cannot read State.xml"),
        (
            "SDMDataObjectStreamReaderException:could not open 'a/b'.",
            "importasdm cannot read a binary file: could not open 'a/b'",
        ),
        ("All is well", ""),
    ],
)
def test_importasdms_asides_about_damage_are_heard(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "log").write_text(f"2026-01-01\tINFO\timportasdm::::sdm\t{line}\n")
    assert casa_log.damage(tmp_path / "log") == told


@pytest.mark.parametrize(("table", "parang"), [("hifa_bandpass.s15_4", False), ("hifa_polcal.s20_1", True)])
def test_polarization_tables_ask_for_parang(workspace: Workspace, table: str, parang: bool) -> None:
    for path in workspace.products.glob("*.calapply.txt"):
        path.write_text(path.read_text().replace("hifa_bandpass.s15_4", table))
    made = plan.make_plan(ppr_reader.read(workspace.ppr), workspace.working)
    assert {job.parang for job in made.jobs} == {parang}


def test_each_sessions_caltables_are_unpacked_once(workspace: Workspace) -> None:
    made = plan.make_plan(ppr_reader.read(workspace.ppr), workspace.working)
    assert sorted(path.name.split(".")[1] for path in made.caltables) == ["session_1", "session_3"]
    made.unpack_caltables()
    assert len(list(workspace.working.glob("*.tbl"))) == sum(len(set(job_tables(job))) for job in made.jobs)


def job_tables(job: plan.EbJob) -> list[str]:
    return [table for call in calapply_reader.read(Path(job.calapply)) for table in call.tables]


def test_parameters_of_the_ppr_reach_importasdm(workspace: Workspace) -> None:
    parameters = "<Parameter><Keyword>{}</Keyword><Value>{}</Value></Parameter>"
    said = parameters.format("bdfflags", "False") + parameters.format("ocorr_mode", "co")
    text = workspace.ppr.read_text()
    assert "<ParameterSet/>" in text
    workspace.ppr.write_text(text.replace("<ParameterSet/>", f"<ParameterSet>{said}</ParameterSet>"))
    made = plan.make_plan(ppr_reader.read(workspace.ppr), workspace.working)
    options = made.jobs[0].import_options
    assert (options["bdfflags"], options["ocorr_mode"], options["lazy"]) == (False, "co", False)


def test_without_copytoraw_the_products_of_rawdata_are_used(workspace: Workspace) -> None:
    said = "<Parameter><Keyword>copytoraw</Keyword><Value>False</Value></Parameter>"
    text = workspace.ppr.read_text()
    workspace.ppr.write_text(text.replace("<ParameterSet/>", f"<ParameterSet>{said}</ParameterSet>"))
    for path in workspace.products.iterdir():
        if path.is_file():
            path.replace(workspace.rawdata / path.name)
    made = plan.make_plan(ppr_reader.read(workspace.ppr), workspace.working)
    assert {Path(job.calapply).parent for job in made.jobs} == {workspace.rawdata}
