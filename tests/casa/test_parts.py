"""The parts of a restore, one an execution block: what CASA finds in them, and what is seen of them afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_mous import EBS, FIRST, SECOND, THIRD

from alma_restore.ppr import read
from alma_restore.products import manifest as manifests
from alma_restore.restore import parts
from alma_restore.workspace import Workspace


@pytest.fixture
def in_parts(workspace: Workspace) -> Workspace:
    parts.make(workspace, read.read(workspace.ppr))
    return workspace


def test_a_part_holds_one_execution_block_and_all_session_numbers(in_parts: Workspace) -> None:
    assert [part.metadata()["fileSetIds"] for part in in_parts.parts] == sorted([uid] for uid in EBS)
    part = in_parts.part(THIRD)
    asked, whole = read.read(part.ppr), read.read(in_parts.ppr)
    assert [one.number for one in asked.sessions] == [one.number for one in whole.sessions] == [1, 2, 3]
    assert (asked.eb_uids, asked.root, asked.commands) == ((THIRD,), part.root, whole.commands)
    assert [path.name for path in part.rawdata.iterdir()] == [THIRD.sanitised]
    assert (part.rawdata / THIRD.sanitised / "ASDM.xml").is_file()
    named = manifests.in_folder(part.products)
    assert named.eb_uids_by_session() == {"session_3": (THIRD,)}
    assert {path.name for path in part.products.iterdir()} == {named.file_name, *named.needed}


def test_what_a_part_writes_among_its_products_leaves_the_delivered_ones_alone(in_parts: Workspace) -> None:
    """The pipeline's export uses the very names of what was delivered."""
    name = manifests.in_folder(in_parts.products).sessions[0].caltables
    before = (in_parts.products / name).read_bytes()
    (in_parts.part(FIRST).products / name).write_bytes(b"exported")
    assert (in_parts.products / name).read_bytes() == before
    parts.make(in_parts, read.read(in_parts.ppr))
    assert (in_parts.part(FIRST).products / name).read_bytes() == before


def made(run: Workspace, name: str) -> Path:
    folder = run.working / name
    folder.mkdir()
    (folder / "table.dat").write_text(str(run.root))
    return folder


def test_what_the_parts_have_made_is_gathered_however_often(in_parts: Workspace) -> None:
    made(in_parts, f"{FIRST.sanitised}.ms")  # of an attempt with one CASA job for all
    names = [
        f"{uid.sanitised}{suffix}" for uid in (FIRST, SECOND) for suffix in (".ms", "_targets.ms", ".ms.flagversions")
    ]
    for uid in (FIRST, SECOND):
        for name in filter(lambda name: name.startswith(uid.sanitised), names):
            made(in_parts.part(uid), name)
    made(in_parts.part(FIRST), f"{FIRST.sanitised}.ms.hifa_bandpass.bcal.tbl")
    for _ in range(2):
        parts.gather(in_parts)
        assert {path.name for path in in_parts.working.iterdir()} == set(names)
    table = in_parts.working / f"{FIRST.sanitised}.ms" / "table.dat"
    assert table.read_text() == str(in_parts.part(FIRST).root)
    shutil.rmtree(in_parts.part(FIRST).root)
    parts.gather(in_parts)
    assert {path.name[: len(SECOND.sanitised)] for path in in_parts.working.iterdir()} == {SECOND.sanitised}


def test_one_job_for_all_is_left_as_it_is(workspace: Workspace) -> None:
    ms = made(workspace, f"{FIRST.sanitised}.ms")
    parts.gather(workspace)
    assert ms.is_dir()
    assert workspace.runs == (workspace,)
