"""The PPR: written in full, refused where it contradicts itself, read back as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from alma_restore.archive.records import ProjectStructure, SchedBlock
from alma_restore.errors import Corrupt, Inconsistent
from alma_restore.ppr import read, schema
from alma_restore.ppr.build import PprInput, build, for_one_eb
from alma_restore.ppr.commands import BASIC_RESTORE, ProcessingCommand, restore_and_split
from alma_restore.rules.sessions import Session
from alma_restore.split import SplitOptions
from alma_restore.uid import Uid

FIRST, SECOND, THIRD = (Uid(f"uid://A002/X{each}") for each in ("d248b5/Xa7a", "d248b5/Xcc1", "d2f4c0/X1f3"))

EXAMPLE = PprInput(
    structure=ProjectStructure("2017.1.00370.S", Uid("uid://A001/X1220/X1"), "X12d1", Uid("uid://A001/X1220/X2")),
    mous_uid=Uid("uid://A001/X12d1/X23e"),
    sched_block=SchedBlock(Uid("uid://A001/X12d1/X200"), Uid("uid://A001/X12d1/X201"), "", "", ""),
    sessions=(Session(1, ()), Session(2, (FIRST, SECOND)), Session(3, (THIRD,))),
    root=Path("/spool/uid___A002_Xd248b5_Xa7a_2018_09_21_T14_17_00.434"),
    created=datetime(2018, 9, 21, 14, 17, tzinfo=timezone.utc),
)


def test_the_whole_skeleton_of_the_seed_is_written():
    assert build(EXAMPLE) == (Path(__file__).parent / "expected_ppr.xml").read_bytes()
    schema.validate(build(EXAMPLE))


def test_times_are_written_in_utc():
    local = replace(EXAMPLE, created=datetime(2018, 9, 21, 8, 17, tzinfo=timezone(timedelta(hours=-6))))
    assert build(local) == build(EXAMPLE)


def test_a_ppr_for_one_execution_block_keeps_every_session_number():
    alone = for_one_eb(EXAMPLE, SECOND)
    assert alone.sessions == (Session(1, ()), Session(2, (SECOND,)), Session(3, ()))
    assert replace(alone, sessions=EXAMPLE.sessions) == EXAMPLE
    schema.validate(build(alone))
    with pytest.raises(Inconsistent, match="uid://A002/X1/X1 is none of"):
        for_one_eb(EXAMPLE, Uid("uid://A002/X1/X1"))


def test_a_basic_restore_is_one_command_without_parameters():
    assert restore_and_split(None) == BASIC_RESTORE == (ProcessingCommand("hifa_restoredata", {}),)


def test_a_split_adds_the_commands_of_the_pipeline_s_own_recipe():
    options = SplitOptions(intent="TARGET", field="NGC 253", spw="17,19", chanbin=4, timebin="30s")
    restore, split, export = restore_and_split(options)
    assert (restore.name, split.name, export.name) == ("hifa_restoredata", "hif_mstransform", "hifa_exportdata")
    assert split.parameters == {
        "intent": "TARGET", "field": "NGC 253", "spw": "17,19", "chanbin": "4", "timebin": "30s",
    }  # fmt: skip
    assert export.parameters == {"products_dir": "../exported"}  # never over the delivered originals
    schema.validate(build(replace(EXAMPLE, commands=(restore, split, export))))


def test_what_a_split_leaves_open_is_the_pipeline_s_to_decide():
    _, split, _ = restore_and_split(SplitOptions())
    assert split.parameters == {"intent": "TARGET", "chanbin": "1", "timebin": "0s"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sessions": (Session(1, (FIRST,)), Session(3, (SECOND,)))}, "numbered 1, 3 instead of 1, 2"),
        ({"sessions": (Session(2, (FIRST,)), Session(1, (SECOND,)))}, "numbered 2, 1 instead of 1, 2"),
        ({"sessions": (Session(1, (FIRST,)), Session(1, (SECOND,)))}, "Xa7a is in no session"),
        ({"sessions": (Session(1, (FIRST,)), Session(2, (FIRST,)))}, "uid://A002/Xd248b5/Xa7a"),
        ({"sessions": (Session(1, ()),)}, "AsdmIdentifier"),
        ({"sessions": ()}, "AsdmIdentifier"),
        ({"commands": ()}, "ProcessingCommand"),
        ({"commands": (ProcessingCommand("rm -rf"),)}, "rm -rf"),
        ({"commands": (ProcessingCommand("hifa_restoredata", {"A B": "1"}),)}, "A B"),
        ({"site": ""}, "ProcessingSite"),
        ({"operator": " "}, "Operator"),
        ({"relative_path": ""}, "RelativePath"),
        ({"structure": replace(EXAMPLE.structure, project_code="")}, "ProposalCode"),
        ({"structure": replace(EXAMPLE.structure, project_code="2017.1")}, "ProposalCode"),
        ({"structure": replace(EXAMPLE.structure, obs_unit_set_part_id="")}, "partId"),
        ({"structure": replace(EXAMPLE.structure, obs_unit_set_part_id="123")}, "partId"),
    ],
)
def test_what_the_pipeline_could_not_use_never_reaches_it(change, said):
    with pytest.raises(Inconsistent, match=said):
        schema.validate(build(replace(EXAMPLE, **change)))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"<Telescope>ALMA</Telescope>", b"", "Telescope"),
        (b"<Telescope>ALMA</Telescope>", b"<Telescope>EVLA</Telescope>", "Telescope"),
        (b"<Mode>CSV</Mode>", b"<Mode>CSV</Mode><Stray/>", "Stray"),
        (b"<Mode>CSV</Mode>", b'<Mode stray="1">CSV</Mode>', "stray"),
        (b"PipelineOperatorAdress", b"PipelineOperatorAddress", "PipelineOperatorAddress"),
        (b"uid://A001/X12d1/X23e", b"uid___A001_X12d1_X23e", "entityId"),
        (b"uid://A001/X12d1/X201", b"", "entityId"),
        (b'xsi:type="SciPipeRequest"', b'xsi:type="Other"', "type"),
        (b"<Value>true</Value>", b"<Value>false</Value>", "PROCESS is not true"),
        (b"<Keyword>PROCESS</Keyword>", b"<Keyword>SESSION_1</Keyword>", "SESSION_1"),
        (b"<Keyword>SESSION_2</Keyword>", b"<Keyword>SESSION_02</Keyword>", "numbered 1, 3"),
        (b" | ", b"|", "SESSION_2 lists"),
        (b" | ", b" | | ", "SESSION_2 lists"),
        (b" | uid://A002/Xd248b5/Xcc1", b"", "uid://A002/Xd248b5/Xcc1 is in no session"),
        (b" | uid://A002/Xd248b5/Xcc1", b" | uid://A002/Xd248b5/Xa7a", "Xa7a is in sessions 2 times"),
        (b" | ", b" | uid://A002/X9/X9 | ", "uid://A002/X9/X9 is in a session and not in the data set"),
        (
            b"<AsdmDiskName>uid___A002_Xd248b5_Xcc1",
            b"<AsdmDiskName>uid___A002_X1_X1",
            "Xcc1 is said to lie in uid___A002_X1_X1",
        ),
    ],
)
def test_a_changed_ppr_is_refused_and_what_is_wrong_is_named(old, new, said):
    content = build(EXAMPLE)
    assert old in content
    with pytest.raises(Inconsistent, match=said):
        read.parse(content.replace(old, new))


TAGS = sorted({element.tag for element in etree.fromstring(build(EXAMPLE)).iter()} - {"SciPipeRequest"})


@pytest.mark.parametrize("tag", TAGS)
def test_every_element_of_the_skeleton_is_required(tag):
    root = etree.fromstring(build(EXAMPLE))
    for element in root.findall(f".//{tag}"):
        element.getparent().remove(element)
    with pytest.raises(Inconsistent):
        schema.validate(etree.tostring(root))


def test_everything_that_is_wrong_is_named_at_once():
    content = build(EXAMPLE).replace(b"<Mode>CSV</Mode>", b"").replace(b"<SBTitle>Undefined</SBTitle>", b"")
    with pytest.raises(Inconsistent, match=r"Mode.*; line \d+: .*SBTitle"):
        schema.validate(content)


def test_a_ppr_that_is_no_xml_or_not_there(tmp_path):
    with pytest.raises(Corrupt, match="The PPR is not readable XML"):
        schema.validate(b"<SciPipeRequest>")
    with pytest.raises(Inconsistent, match=r"PPR\.xml cannot be read"):
        read.read(tmp_path / "PPR.xml")


def test_a_value_that_xml_cannot_hold_is_named():
    with pytest.raises(Inconsistent, match=r"'bell\\x07' cannot be written as <Operator>"):
        build(replace(EXAMPLE, operator="bell\x07"))


def test_a_sched_block_without_status_is_named():
    with pytest.raises(Inconsistent, match="uid://A001/X12d1/X200 has no entry in SCHED_BLOCK_STATUS"):
        build(replace(EXAMPLE, sched_block=replace(EXAMPLE.sched_block, status_uid=None)))


hexes = st.integers(1, 2**32).map(lambda number: f"X{number:x}")
uids = st.builds(lambda a, b, c: Uid(f"uid://{a}/{b}/{c}"), st.sampled_from(["A001", "A002"]), hexes, hexes)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1)


codes = st.from_regex(r"20[12][0-9]\.[0-9A]\.[0-9]{5}\.[A-Z]", fullmatch=True)
tasks = st.from_regex(r"h(if|ifa)?_[a-z]{1,8}", fullmatch=True)
parameters = st.dictionaries(st.from_regex("[a-z][a-z_]{0,6}", fullmatch=True), texts | st.just(""), max_size=3)


@st.composite
def some_sessions(draw) -> tuple[Session, ...]:
    blocks = draw(st.lists(uids, min_size=1, max_size=6, unique=True))
    numbers = range(1, draw(st.integers(1, 5)) + 1)
    place = {uid: draw(st.sampled_from(numbers)) for uid in blocks}
    return tuple(Session(number, tuple(uid for uid in blocks if place[uid] == number)) for number in numbers)


def ppr_inputs() -> st.SearchStrategy[PprInput]:
    return st.builds(
        PprInput,
        structure=st.builds(ProjectStructure, codes, uids, hexes, uids),
        mous_uid=uids,
        sched_block=st.builds(SchedBlock, uids, uids, st.just(""), st.just(""), st.just("")),
        sessions=some_sessions(),
        root=texts.filter(lambda name: "/" not in name).map(lambda name: Path("/spool", f"a {name}")),
        created=st.datetimes(min_value=datetime(1990, 1, 1)).map(
            lambda t: t.replace(microsecond=0, tzinfo=timezone.utc)
        ),
        relative_path=texts,
        site=texts,
        operator=texts,
        procedure=texts,
        commands=st.lists(st.builds(ProcessingCommand, tasks, parameters), min_size=1, max_size=3).map(tuple),
    )


@given(ppr_inputs())
def test_a_ppr_reads_back_as_what_it_was_built_from(ppr_input):
    assert read.parse(build(ppr_input)) == ppr_input


@given(ppr_inputs())
def test_the_pipeline_finds_every_execution_block_in_its_session(ppr_input):
    """What the pipeline's own reader does: sessions until the first missing number, `session_1` for all others."""
    document = minidom.parseString(build(ppr_input))  # noqa: S318
    intents = dict(zip(_texts(document, "Keyword"), _texts(document, "Value"), strict=True))
    sessions: dict[str, list[str]] = {}
    while (keyword := f"SESSION_{len(sessions) + 1}") in intents:
        sessions[keyword] = [Uid(uid).sanitised for uid in intents[keyword].split(" | ") if uid]
    for session in ppr_input.sessions:
        for uid in session.eb_uids:
            found = next((name.lower() for name, names in sessions.items() if uid.sanitised in names), "session_1")
            assert found == session.name
    assert _texts(document, "AsdmDiskName") == [uid.sanitised for uid in ppr_input.eb_uids]


def _texts(document: minidom.Document, tag: str) -> list[str]:
    return ["".join(child.data for child in node.childNodes) for node in document.getElementsByTagName(tag)]
