"""Locks between processes: so many at once, and given back by a holder that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alma_restore.archive.slots import hold_alone, slot
from alma_restore.errors import Misconfigured

HOLD = """
import sys, time
from pathlib import Path
from alma_restore.archive.slots import slot
with slot(Path(sys.argv[1]), "node:7777", 2):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_slot_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    holders = [holder(tmp_path), holder(tmp_path)]
    try:
        os.kill(holders[0].pid, signal.SIGKILL)
        started = time.monotonic()
        with slot(tmp_path, "node:7777", 2):
            assert time.monotonic() - started < 5
            held = [hold_alone(os.open(path, os.O_RDWR), path) for path in tmp_path.iterdir()]
            assert held == [False, False]
    finally:
        for process in holders:
            process.kill()
            process.wait()


def test_slots_of_another_name_are_others(tmp_path: Path) -> None:
    with slot(tmp_path, "one", 1), slot(tmp_path, "two", 1):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="lock folder"), slot(tmp_path / "file", "one", 1):
        pass


def test_a_file_that_was_moved_away_is_not_ours(tmp_path: Path) -> None:
    place = tmp_path / "file.part"
    with place.open("w") as stream:
        place.rename(tmp_path / "file")
        assert not hold_alone(stream.fileno(), place)
        place.write_text("another")
        assert not hold_alone(stream.fileno(), place)
