"""A restored workspace: not real MeasurementSets, but folders and files like theirs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from restored_mous import EBS, MOUS, calapply, manifest

from alma_restore.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "spool" / "one").create({})
    for number, eb_uid in enumerate(EBS):
        for name in ("table.dat", "table.f17_TSM1", "ANTENNA/table.dat"):
            file = made.working / f"{eb_uid.sanitised}.ms" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(f"{name} of EB {number}".encode() * 1000)
    mous, eb = MOUS.sanitised, EBS[0].sanitised
    for name in (
        f"member.{mous}.hifa_calimage.weblog.tgz",
        f"member.{mous}.session_1.caltables.tgz",
        f"member.{mous}.hifa_calimage.auxproducts.tgz",
        f"{mous}.hifa_calimage.casa_piperestorescript.py",
        f"{mous}.hifa_calimage.casa_commands.log",
        f"{eb}.ms.flagversions.tgz",
        f"{eb}.flagtsystemplate.txt",
        "flux.csv",
        "cont.dat",
    ):
        (made.products / name).write_text(name)
    (made.products / f"{mous}.hifa_calimage.pipeline_manifest.xml").write_text(manifest())
    for eb_uid in EBS:
        calls = calapply(eb_uid, ("PHASE", "17~23"), ("TARGET", "17,19"), ("CHECK,TARGET", "21,23"))
        (made.products / f"{eb_uid.sanitised}.ms.calapply.txt").write_text(calls)
    (made.products / f"{mous}.session_1.caltables.tgz").symlink_to(f"member.{mous}.session_1.caltables.tgz")
    for file in (made.ppr, made.report_file):
        file.write_text(file.name)
    return made


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another filesystem than the workspace."""
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK) or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second filesystem (/dev/shm) here")
    folder = shared_memory / f"alma-restore-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if (
        os.getuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode
    ):
        pytest.skip("only root can mount a small filesystem")
    yield folder
    subprocess.run(["umount", folder], check=True)
