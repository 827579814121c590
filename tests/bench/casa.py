"""Restores with the casatasks engine: side by side against serial, against bare CASA calls, memory and disk traffic.

Four execution blocks of about 150 MB of raw data each. The engine is run as a job would run it; `bare calls` are the
same CASA calls, from the run's own casa_commands.log, made one after another in one Python that does nothing else.

All is measured in turns, several times, and the best of each counts; each run begins when nothing is left to write of
the one before. A process has one thread, so that a serial run keeps one core busy. Where a speed-up is missed, fewer
cores kept busy tell that runs waited for the disk, more CPU time that something else used the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.casa import job, outcome
from alma_restore.casa.casa_home import CASA_SIDE, casa_home
from alma_restore.casa.installation import Installation
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.demo.archive import BlockSizes, DemoMous, make_mous
from alma_restore.ppr import build, read
from alma_restore.products import staging
from alma_restore.restore import parts
from alma_restore.rules import sched_block, sessions
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

TIMES = 3
CORES = 2
BLOCKS = 4
SIZES = BlockSizes(antennas=20, windows=2, channels=128, scale=5)

BARE_CALLS = """
import ast, sys, time
from pathlib import Path
import tar_products
from lean_casatasks import casatasks
tasks = {name: getattr(casatasks, name) for name in ("importasdm", "flagmanager", "applycal")}
started = time.monotonic()
for archive in Path("../products").glob("*.caltables.tgz"):
    tar_products.unpack(archive, Path())
for line in Path(sys.argv[1]).read_text().splitlines():
    if line.startswith("flagmanager"):
        vis = line.partition("vis='")[2].partition("'")[0]
        tar_products.unpack(Path("../products", vis + ".flagversions.tgz"), Path())
    if not line.startswith("#"):
        call = ast.parse(line.strip(), mode="eval").body
        tasks[call.func.id](**{each.arg: ast.literal_eval(each.value) for each in call.keywords})
print("SECONDS", time.monotonic() - started)
"""

FULL_CALIBRATION = """
import sys, time
from pathlib import Path
from mous_spec import MousSpec
from observation import Identity
from synthetic_sky import Sizes, write_synthetic_asdm
uid = "uid://A002/X1/X1"
observation = write_synthetic_asdm(
    Path("uid___A002_X1_X1"), Identity(uid, uid, uid, uid), "2018-09-01T04:00:00", Sizes(*map(int, sys.argv[1:])), 1
)
from toy_calibration import calibrate
started = time.monotonic()
calibrate(Path("uid___A002_X1_X1").absolute(), "uid___A002_X1_X1.ms", observation)
print("SECONDS", time.monotonic() - started)
"""


def run(home: Path) -> list[dict[str, object]]:
    bench = _Bench(home)
    rounds = [bench.round() for _ in range(TIMES)]  # in turns, for a machine's other work comes and goes
    *runs, in_parts, bare_calls = zip(*rounds, strict=True)
    serial, side_by_side = (min(some, key=lambda run: run.seconds) for some in runs)
    parts_s, bare = min(in_parts), min(bare_calls)
    calibration = bench.full_calibration()
    rows: list[dict[str, object]] = [
        _row("raw data of an execution block", serial.raw_bytes / BLOCKS / 1e6, "MB", "about 150"),
        _row("serial restore", serial.seconds, "s"),
        _row("side by side, 2 at once", side_by_side.seconds, "s"),
        _row("speed-up", serial.seconds / side_by_side.seconds, "x", "at least 1.7"),
        _row("a CASA run for each execution block, 2 at once", parts_s, "s"),
        _row("speed-up of that", serial.seconds / parts_s, "x", "at least 1.7"),
        _row("CPU time, serial", serial.cpu_s, "s"),
        _row("CPU time, side by side", side_by_side.cpu_s, "s"),
        _row("cores kept busy, serial", serial.cpu_s / serial.seconds, ""),
        _row("cores kept busy, side by side", side_by_side.cpu_s / side_by_side.seconds, ""),
        _row("start of CASA, an execution block", serial.starts_s / BLOCKS, "s"),
        _row("bare CASA calls", bare, "s"),
        _row("engine without CASA's start / bare calls", (serial.seconds - serial.starts_s) / bare, "x", "at most 1.1"),
        _row("full (toy) calibration / restore, calls only", calibration * BLOCKS / bare, "x"),
        _row("peak memory of an execution block", serial.peak_bytes / 1e6, "MB"),
        _row("written per byte of MeasurementSet", serial.written_bytes / serial.ms_bytes, "B/B"),
        _row("MeasurementSet per byte of raw data", serial.ms_bytes / serial.raw_bytes, "B/B"),
        _row("raw data restored, 2 at once", side_by_side.raw_bytes / 1e6 / side_by_side.seconds, "MB/s"),
    ]
    return rows


def _row(what: str, value: float, unit: str, wanted: str = "") -> dict[str, object]:
    return {"what": what, "value": round(value, 3), "unit": unit, "wanted": wanted}


class _Restore:
    """One measured run of the engine."""

    def __init__(self, workspace: Workspace, seconds: float, usage: Any) -> None:
        self.workspace, self.seconds = workspace, seconds
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.peak_bytes = usage.ru_maxrss * 1024  # of the biggest process, which is that of one execution block
        self.written_bytes = usage.ru_oublock * 512
        self.raw_bytes = _size(workspace.rawdata)
        self.ms_bytes = sum(_size(ms) for ms in workspace.working.glob("*.ms"))
        log = (workspace.logs / "log").read_text()
        self.starts_s = sum(map(float, re.findall(r"start of CASA ([\d.]+) s", log)))


class _Bench:
    def __init__(self, home: Path) -> None:
        self._home = home
        self._python = Path(os.environ["ALMA_RESTORE_CASA_PYTHON"])
        self._environment = {"PATH": os.environ["PATH"], **casa_home(home / "casa-home", self._python)}
        self._mous = self._make_mous()

    def round(self) -> tuple[_Restore, _Restore, float, float]:
        """The same restore serial, side by side, with a CASA run for each execution block, and as bare calls."""
        serial = self.restore("serial", cores=1)
        bare = self.bare_calls(serial.workspace.working / "casa_commands.log")
        shutil.rmtree(serial.workspace.root)
        side_by_side = self.restore("side by side", CORES)
        shutil.rmtree(side_by_side.workspace.root)
        return serial, side_by_side, self.restore_in_parts(), bare

    def restore(self, name: str, cores: int) -> _Restore:
        workspace = self._workspace(name)
        command = [self._python, CASA_SIDE / "restore_mous.py", workspace.ppr, "--cores", str(cores)]
        os.sync()
        with (workspace.logs / "log").open("w") as log:
            started = time.monotonic()
            process = subprocess.Popen(command, env=self._environment, cwd=workspace.working, stdout=log)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
        if status:
            raise RuntimeError((workspace.logs / "log").read_text())
        return _Restore(workspace, seconds, usage)

    def restore_in_parts(self) -> float:
        """A job for each execution block, started all at once; they take turns on the cores."""
        workspace, launcher = self._workspace("in parts"), LocalLauncher()
        casa = CasaSettings(jobs="eb", cores=CORES, niceness=0)
        parts.make(workspace, read.read(workspace.ppr))
        installation = Installation(name="bench", engine="casatasks", casa_version="6.7.0", python=self._python)
        os.sync()
        started = time.monotonic()
        handles = [job.start_or_attach(launcher, installation, part, casa) for part in workspace.parts]
        for part, handle in zip(workspace.parts, handles, strict=True):
            outcome.judge(part, job.watch(launcher, handle, part, casa, on_progress=lambda _: None))
        seconds = time.monotonic() - started
        shutil.rmtree(workspace.root)
        return seconds

    def bare_calls(self, commands: Path) -> float:
        workspace = self._workspace("bare")
        asked = commands.read_text().replace(str(commands.parents[1]), str(workspace.root))
        (workspace.root / "commands").write_text(asked)
        os.sync()
        seconds = self._seconds(BARE_CALLS, str(workspace.root / "commands"), cwd=workspace.working)
        shutil.rmtree(workspace.root)
        return seconds

    def full_calibration(self) -> float:
        """Of one execution block."""
        scratch = self._home / "calibration"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        sizes = [str(size) for size in (SIZES.antennas, SIZES.windows, SIZES.channels, SIZES.scale)]
        seconds = self._seconds(FULL_CALIBRATION, *sizes, cwd=scratch)
        shutil.rmtree(scratch)
        return seconds

    def _seconds(self, program: str, *arguments: str, cwd: Path) -> float:
        environment = {**self._environment, "PYTHONPATH": str(CASA_SIDE)}
        command = [str(self._python), "-c", program, *arguments]
        said = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=True).stdout
        return float(said.partition("SECONDS")[2])

    def _make_mous(self) -> DemoMous:
        now = datetime.now(timezone.utc)
        return make_mous(
            self._home / "archive", BLOCKS, SIZES, self._python, self._environment, cores=2, now=now, progress=print
        )

    def _workspace(self, name: str) -> Workspace:
        """All that CASA needs of the MOUS, in a fresh folder."""
        archive, root = self._home / "archive", self._home / name
        shutil.rmtree(root, ignore_errors=True)
        workspace = Workspace(root).create({})
        metadata = Metadata(lambda: closing(embedded.connect(archive / "metadata.sqlite")))
        uid = self._mous.uid
        for eb in self._mous.ebs:
            shutil.copytree(archive / "asdm" / eb.uid.sanitised, workspace.rawdata / eb.uid.sanitised)
        files = [archive / "ngas" / file.file_id for file in metadata.product_files(uid)]
        staging.stage(workspace, [Path(shutil.copy(file, workspace.products)) for file in files])
        ppr = build.PprInput(
            structure=metadata.project_structure(uid),
            mous_uid=uid,
            sched_block=sched_block.choose(metadata.sched_blocks(uid)),
            sessions=sessions.number_sessions(metadata.execution_blocks(uid)),
            root=root,
            created=datetime.now(timezone.utc),
        )
        workspace.ppr.write_bytes(build.build(ppr))
        return workspace


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
