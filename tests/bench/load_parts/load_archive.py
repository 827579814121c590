"""An embedded archive of any number of MOUSs that a restore can go through in earnest, for load tests.

CASA makes one tiny MOUS and restores it; every other one is its copy under uids of its own: raw data, calibration
products, manifest and metadata, so that fetching, checking, staging and the PPR are all real. What CASA itself would do
is done by the copy engine.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.records import ProductFile
from alma_restore.casa.casa_home import CASA_SIDE, casa_home
from alma_restore.demo.archive import BlockSizes, DemoBlock, DemoMous, make_mous
from alma_restore.demo.archive_content import mous_record
from alma_restore.demo.metadata import write_many
from alma_restore.ppr import build
from alma_restore.products import manifest, staging
from alma_restore.rules import sched_block, sessions
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

SIZES = BlockSizes(antennas=5, windows=1, channels=8)
DAYS = 3.0
"""The MOUSs were delivered evenly over as many days, so that a backfill finds them in several intervals."""

UNTIL = datetime(2026, 1, 4, tzinfo=timezone.utc)

_ENGINE = Path(__file__).with_name("copy_engine.py")


class LoadArchive:
    """The archive in `folder/archive` and what the copy engine copies in `folder/prepared`, both made anew.

    Args:
        count: MOUSs in the archive.
        casa_python: makes and restores the one that the others are copies of.
    """

    def __init__(self, folder: Path, count: int, casa_python: Path) -> None:
        self._template = folder / "template"
        self._prepared = folder / "prepared"
        self._casa_python = casa_python
        self._casa_home = casa_home(folder / "casa-home", casa_python)
        self.folder = folder / "archive"
        self.installations = folder / "installations.toml"
        for each in (self._prepared, self.folder):
            shutil.rmtree(each, ignore_errors=True)
        self._mous = make_mous(
            self._template, 1, SIZES, casa_python, self._casa_home, 1, datetime.now(timezone.utc), print
        )
        self._metadata = Metadata(lambda: closing(embedded.connect(self._template / "metadata.sqlite")))
        self._prepare()
        self._write_clones(count)

    def register_engine(self, faults: float = 0.0) -> None:
        """Write the file of installations: the copy engine alone, failing as often, of one."""
        engine = self._prepared / "copy-engine"
        engine.write_text(f"#!{sys.executable} -IS\n{_ENGINE.read_text()}")
        engine.chmod(0o755)
        version = manifest.in_folder(self._template / "ngas").casa_version
        self.installations.write_text(
            f'[[installation]]\nname = "copies"\nengine = "copy"\ncasa_version = "{version}"\npython = "{engine}"\n'
            f'[installation.environment]\nCOPY_ENGINE_PREPARED = "{self._prepared}"\nCOPY_ENGINE_FAULTS = "{faults}"\n'
        )

    def fingerprint(self, number: int) -> str:
        """Of the calibration of the MOUS of this number, as detection tells it."""
        metadata = Metadata(lambda: closing(embedded.connect(self.folder / "metadata.sqlite")))
        return metadata.calibration(clone(number).uid).fingerprint

    def _prepare(self) -> None:
        """Restore the template with CASA, and keep what CASA says of the result."""
        workspace = self._staged()
        self._casa(workspace, "restore_mous.py", workspace.ppr)
        (restored,) = workspace.working.glob("*.ms")
        asked = {
            "ms": str(restored),
            "asdm": str(workspace.rawdata / restored.stem),
            "calapply": str(next(workspace.products.glob("*.calapply.txt"))),
        }
        figures, plots = workspace.logs / "figures", workspace.logs / "plots"
        self._casa(workspace, "verify_ms.py", figures, given=json.dumps([asked]))
        samples = workspace.logs / f"{restored.name}.samples.npz"
        self._casa(workspace, "plot_figures.py", plots, samples)
        restored.rename(self._prepared / "prepared.ms")
        samples.rename(self._prepared / "samples.npz")
        (workspace.logs / f"{restored.name}.listobs.txt").rename(self._prepared / "listobs.txt")
        for source, name in ((figures, "figures.json"), (plots, "plots.json")):
            (only,) = json.loads(source.read_text()).values()
            (self._prepared / name).write_text(json.dumps(only))
        workspace.remove()

    def _staged(self) -> Workspace:
        workspace = Workspace(self._prepared / "restore").create({})
        uid = self._mous.uid
        shutil.copytree(self._template / "asdm", workspace.rawdata, dirs_exist_ok=True)
        files = [self._template / "ngas" / file.file_id for file in self._metadata.product_files(uid)]
        staging.stage(workspace, [Path(shutil.copy(file, workspace.products)) for file in files])
        ppr = build.PprInput(
            structure=self._metadata.project_structure(uid),
            mous_uid=uid,
            sched_block=sched_block.choose(self._metadata.sched_blocks(uid)),
            sessions=sessions.number_sessions(self._metadata.execution_blocks(uid)),
            root=workspace.root,
            created=datetime.now(timezone.utc),
        )
        workspace.ppr.write_bytes(build.build(ppr))
        return workspace

    def _casa(self, workspace: Workspace, program: str, *arguments: Path, given: str = "") -> None:
        subprocess.run(
            [self._casa_python, CASA_SIDE / program, *arguments],
            env={"PATH": os.environ["PATH"], **self._casa_home},
            cwd=workspace.working,
            input=given,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _write_clones(self, count: int) -> None:
        (self.folder / "ngas").mkdir(parents=True)
        files = self._metadata.product_files(self._mous.uid)
        records = []
        for number in range(count):
            mous = clone(number)
            names = self._names(mous)
            made = tuple(self._product(file, names) for file in files)
            self._raw_data(mous.ebs[0].uid, names)
            records.append(mous_record(mous, made, UNTIL - timedelta(days=DAYS * (number + 0.5) / count)))
        with closing(embedded.create(self.folder / "metadata.sqlite")) as connection:
            write_many(connection, records)
            connection.commit()

    def _names(self, mous: DemoMous) -> dict[bytes, bytes]:
        """What is called otherwise in a copy: both spellings of the MOUS and of its execution block."""
        pairs = ((self._mous.uid, mous.uid), (self._mous.ebs[0].uid, mous.ebs[0].uid))
        plain = {old.encode(): new.encode() for old, new in pairs}
        return plain | {old.sanitised.encode(): new.sanitised.encode() for old, new in pairs}

    def _product(self, file: ProductFile, names: dict[bytes, bytes]) -> ProductFile:
        name = _renamed(file.file_id.encode(), names).decode()
        content = (self._template / "ngas" / file.file_id).read_bytes()
        made = _renamed_tar(content, names) if name.endswith(".tgz") else _renamed(content, names)
        (self.folder / "ngas" / name).write_bytes(made)
        return ProductFile(name, file.file_class, len(made))

    def _raw_data(self, eb_uid: Uid, names: dict[bytes, bytes]) -> None:
        """A file without a name in it is the template's own."""
        (source,) = (self._template / "asdm").iterdir()
        target = self.folder / "asdm" / eb_uid.sanitised
        for path in source.rglob("*"):
            new = target / path.relative_to(source)
            if path.is_dir():
                new.mkdir(parents=True)
                continue
            new.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes()
            if (renamed := _renamed(content, names)) == content:
                new.hardlink_to(path)
            else:
                new.write_bytes(renamed)


def clone(number: int) -> DemoMous:
    """The MOUS of this number: one execution block, as the template has."""
    started = UNTIL - timedelta(days=30)
    eb = DemoBlock(Uid(f"uid://A002/Xe{number:05x}/X100"), 1, started)
    return DemoMous(Uid(f"uid://A001/X{0x2000 + number:x}/X100"), f"2017.1.{number:05d}.S", (eb,), sizes=SIZES)


def _renamed(content: bytes, names: dict[bytes, bytes]) -> bytes:
    for old, new in names.items():
        content = content.replace(old, new)
    return content


def _renamed_tar(content: bytes, names: dict[bytes, bytes]) -> bytes:
    """The archive with its members renamed; their contents name nothing."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(content)) as old,
        tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as new,
    ):
        for member in old:
            member.name = _renamed(member.name.encode(), names).decode()
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    return packed.getvalue()
