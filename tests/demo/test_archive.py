"""Embedded archives: made once, kept while they are right, made anew when they are not."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from alma_restore.archive import embedded
from alma_restore.archive.asdm import check_asdm
from alma_restore.archive.metadata import Metadata
from alma_restore.demo.archive import DEMO_MOUSS, DemoMous, make_archive
from alma_restore.errors import CasaFailed
from alma_restore.products import calapply, manifest, tarballs
from alma_restore.rules import eligibility, sessions

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
WITHOUT_CASA = tuple(mous for mous in DEMO_MOUSS if not mous.restorable)
NO_PYTHON = Path("/bin/false")


def make(folder: Path, mouss: tuple[DemoMous, ...] = WITHOUT_CASA, now: datetime = NOW) -> list[str]:
    told: list[str] = []
    make_archive(folder, NO_PYTHON, {}, 1, now, told.append, mouss)
    return told


def metadata_of(folder: Path) -> Metadata:
    return Metadata(lambda: embedded.connect(folder / "metadata.sqlite"))


def test_an_archive_that_is_right_is_kept_and_its_dates_renewed(tmp_path: Path) -> None:
    folder = tmp_path / "an archive"
    assert make(folder)
    before = (folder / "contents.json").stat().st_ino
    assert make(folder, now=NOW + timedelta(days=30)) == []
    assert (folder / "contents.json").stat().st_ino == before
    day = NOW + timedelta(days=29), NOW + timedelta(days=30)
    assert {each.mous_uid for each in metadata_of(folder).calibrated_between(*day)} == {m.uid for m in WITHOUT_CASA}
    assert list(metadata_of(folder).calibrated_between(NOW - timedelta(days=1), NOW)) == []


@pytest.mark.parametrize("damage", ["file gone", "file cut short", "contents unreadable", "other MOUSs"])
def test_an_archive_that_is_not_right_is_made_anew(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "archive"
    mouss = WITHOUT_CASA
    make(folder, mouss)
    file = next((folder / "ngas").iterdir())
    whole = file.read_bytes()
    if damage == "file gone":
        file.unlink()
    elif damage == "file cut short":
        os.truncate(file, 3)
    elif damage == "contents unreadable":
        (folder / "contents.json").write_text("{")
    else:
        mouss = (replace(mouss[0], project_code="2018.1.00002.S"), *mouss[1:])
    assert make(folder, mouss)
    assert file.read_bytes() == whole
    assert make(folder, mouss) == []


def test_a_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    make(folder)
    with pytest.raises(CasaFailed, match="exit code 1"):
        make(folder, DEMO_MOUSS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "archive.lock"]
    assert make(folder) == []


def test_what_a_killed_run_left_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "archive.new" / "ngas").mkdir(parents=True)
    (tmp_path / "archive.new" / "ngas" / "half a file").write_text("")
    make(tmp_path / "archive")
    assert not (tmp_path / "archive" / "ngas" / "half a file").exists()
    assert not (tmp_path / "archive.new").exists()


def test_two_that_want_it_at_once_make_it_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(make, [tmp_path / "archive"] * 2))
    assert sorted(map(len, told)) == [0, 1]


def test_the_rules_decide_about_the_demo_as_it_says(demo_archive: Path) -> None:
    metadata = metadata_of(demo_archive)
    decided = {mous.uid: eligibility.judge(metadata.calibration(mous.uid)).code for mous in DEMO_MOUSS}
    assert decided == {mous.uid: mous.refusal_code for mous in DEMO_MOUSS}
    assert sum(mous.restorable for mous in DEMO_MOUSS) == 3


def test_every_product_row_has_its_file(demo_archive: Path) -> None:
    with sqlite3.connect(demo_archive / "metadata.sqlite") as connection:
        rows = dict(connection.execute("SELECT NGAS_FILE_ID, STORED_SIZE FROM ASA_PRODUCT_FILES"))
    assert rows == {path.name: path.stat().st_size for path in (demo_archive / "ngas").iterdir()}


@pytest.mark.parametrize("mous", [mous for mous in DEMO_MOUSS if mous.restorable], ids=lambda mous: mous.uid)
def test_a_restorable_mous_of_the_demo_is_complete(demo_archive: Path, mous: DemoMous) -> None:
    blocks = metadata_of(demo_archive).execution_blocks(mous.uid)
    assert {(eb.uid, eb.qa0, eb.started) for eb in blocks} == {(eb.uid, eb.qa0, eb.started) for eb in mous.ebs}
    for eb in blocks:
        check_asdm(demo_archive / "asdm" / eb.uid.sanitised)
    for path in (demo_archive / "ngas").glob(f"*{mous.uid.sanitised}*.tgz"):
        tarballs.check(path)
    references = demo_archive / "reference" / mous.uid.sanitised
    passed = {eb.uid.sanitised for eb in blocks if eb.qa0 == "Pass"}
    assert {path.name for path in references.iterdir()} == {f"{name}.ms.npz" for name in passed}


@pytest.mark.parametrize("mous", [mous for mous in DEMO_MOUSS if mous.restorable], ids=lambda mous: mous.uid)
def test_manifest_and_metadata_number_sessions_alike(demo_archive: Path, mous: DemoMous) -> None:
    blocks = metadata_of(demo_archive).execution_blocks(mous.uid)
    numbered = {each.name: each.eb_uids for each in sessions.number_sessions(blocks)}
    found = manifest.read(next((demo_archive / "ngas").glob(f"*{mous.uid.sanitised}*pipeline_manifest.xml")))
    delivered = {
        session.name: [asdm.ms_name.removesuffix(".ms") for asdm in session.asdms] for session in found.sessions
    }
    assert delivered == {name: [uid.sanitised for uid in uids] for name, uids in numbered.items() if uids}


def test_the_main_mous_has_an_empty_session_and_the_second_a_prefix_that_its_manifest_does_not_know(
    demo_archive: Path,
) -> None:
    main, second = DEMO_MOUSS[:2]
    numbered = sessions.number_sessions(metadata_of(demo_archive).execution_blocks(main.uid))
    assert [len(session.eb_uids) for session in numbered] == [2, 0, 1]
    path = next((demo_archive / "ngas").glob(f"member.{second.uid.sanitised}*pipeline_manifest.xml"))
    assert "member." not in path.read_text()


def test_calapply_files_map_spectral_windows(demo_archive: Path) -> None:
    for path in (demo_archive / "ngas").glob("*.calapply.txt"):
        calls = calapply.read(path)
        assert {call.intent for call in calls} == {"AMPLITUDE,BANDPASS", "PHASE", "TARGET"}
        assert any((0, 0) in call.spwmap for call in calls)
