"""The engine of load tests copies whole MeasurementSets, and its look into them tells a whole copy from another one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[1] / "bench" / "load_parts" / "copy_engine.py"
PPR = "<PPR><AsdmDiskName>uid___A002_X1_X1</AsdmDiskName><AsdmDiskName>uid___A002_X1_X2</AsdmDiskName></PPR>"
NAMES = ["uid___A002_X1_X1.ms", "uid___A002_X1_X2.ms"]


@pytest.fixture
def engine(tmp_path: Path) -> Callable[..., int]:
    """Runs the engine in an empty working folder; answers its exit code."""
    prepared, working = tmp_path / "prepared", tmp_path / "working"
    for name in ("prepared.ms/table.dat", "prepared.ms/ANTENNA/table.f0"):
        (prepared / name).parent.mkdir(parents=True, exist_ok=True)
        (prepared / name).write_text(name)
    for name, content in (("figures.json", '{"rows": 3}'), ("samples.npz", "samples"), ("listobs.txt", "listing")):
        (prepared / name).write_text(content)
    working.mkdir()
    (tmp_path / "PPR.xml").write_text(PPR)

    def run(*arguments: str | Path, given: str = "", faults: float = 0.0) -> int:
        environment = {"COPY_ENGINE_PREPARED": str(prepared), "COPY_ENGINE_FAULTS": str(faults)}
        command = [sys.executable, "-IS", str(ENGINE), *map(str, arguments)]
        return subprocess.run(command, env=environment, cwd=working, input=given, text=True, check=False).returncode

    return run


def asked(tmp_path: Path) -> str:
    return json.dumps([{"ms": str(tmp_path / "working" / name)} for name in NAMES])


def test_every_execution_block_of_the_ppr_gets_a_whole_copy(engine: Callable[..., int], tmp_path: Path) -> None:
    assert engine("restore_mous.py", tmp_path / "PPR.xml", "--cores", "2") == 0
    assert sorted(path.name for path in (tmp_path / "working").iterdir()) == NAMES
    assert engine("verify_ms.py", tmp_path / "figures", given=asked(tmp_path)) == 0
    told = json.loads((tmp_path / "figures").read_text())
    assert told == {str(tmp_path / "working" / name): {"rows": 3} for name in NAMES}
    assert (tmp_path / f"{NAMES[0]}.samples.npz").read_text() == "samples"


def test_half_a_copy_is_not_taken_for_a_whole_one(engine: Callable[..., int], tmp_path: Path) -> None:
    engine("restore_mous.py", tmp_path / "PPR.xml")
    (tmp_path / "working" / NAMES[1] / "ANTENNA" / "table.f0").unlink()
    assert engine("verify_ms.py", tmp_path / "figures", given=asked(tmp_path)) == 1


def test_told_to_fail_it_fails_one_way_or_another(engine: Callable[..., int], tmp_path: Path) -> None:
    code = engine("restore_mous.py", tmp_path / "PPR.xml", faults=1.0)
    assert code or engine("verify_ms.py", tmp_path / "figures", given=asked(tmp_path))
