"""docs/embedded-archive.md: what it tells people to do works, and what it says of the demo is so."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.rules import eligibility
from alma_restore.uid import Uid

PAGE = (Path(__file__).parents[2] / "docs" / "embedded-archive.md").read_text()


def test_the_program_of_the_page_makes_a_restorable_mous(
    demo_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mous = Uid("uid://A001/X1284/X266")
    (tmp_path / "my-archive" / "ngas").mkdir(parents=True)
    for path in (demo_archive / "ngas").glob(f"member.{mous.sanitised}.*"):
        shutil.copy(path, tmp_path / "my-archive" / "ngas")
    program = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert program
    monkeypatch.chdir(tmp_path)
    exec(compile(program[1], "docs/embedded-archive.md", "exec"), {})  # noqa: S102

    metadata = Metadata(lambda: embedded.connect(tmp_path / "my-archive" / "metadata.sqlite"))
    assert eligibility.judge(metadata.calibration(mous)).code == eligibility.RESTORABLE
    assert metadata.project_structure(mous).project_code == "2017.1.00886.S"


def test_the_page_lists_the_demos_mouss() -> None:
    rows = re.findall(r"^\| (uid://\S+) \| ([^|]*) \|", PAGE, re.MULTILINE)
    listed = {uid: sum(int(number) for number in re.findall(r"\d+", blocks)) for uid, blocks in rows}
    assert listed == {mous.uid: len(mous.ebs) for mous in DEMO_MOUSS}
