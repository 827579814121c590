"""Makes embedded archives (docs/embedded-archive.md): the demo's, and others of any size for benchmarks and tests."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from alma_restore.archive import embedded
from alma_restore.archive.records import ProductFile
from alma_restore.casa.casa_home import CASA_SIDE
from alma_restore.demo import archive_content
from alma_restore.demo.archive_content import (
    DEMO_MOUSS,
    BlockSizes,
    DemoBlock,
    DemoMous,
    mous_record,
    placeholder_products,
)
from alma_restore.demo.metadata import write_many
from alma_restore.errors import CasaFailed
from alma_restore.uid import Uid

__all__ = ["DEMO_MOUSS", "BlockSizes", "DemoBlock", "DemoMous", "make_archive", "make_mous"]

_GENERATOR = CASA_SIDE / "make_calibrated_mous.py"
_CONTENTS = "contents.json"
_LOG_TAIL_LINES = 30
_FIRST_EB = datetime(2018, 9, 1, 4, tzinfo=timezone.utc)

Progress = Callable[[str], None]
Files = dict[str, tuple[ProductFile, ...]]


def make_archive(
    folder: Path,
    casa_python: Path,
    casa_home_env: Mapping[str, str],
    cores: int,
    now: datetime,
    progress: Progress,
    mouss: Sequence[DemoMous] = DEMO_MOUSS,
) -> None:
    """Make an embedded archive, calibrating its restorable MOUSs with real CASA.

    An archive that is there and right is kept: it was made for the same MOUSs by the same generator and the same CASA,
    and every file has its size. Its metadata are written anew, so that all was delivered in the day before `now`.

    Args:
        casa_home_env: what `casa_home` says.
        cores: execution blocks made side by side.
        progress: told each step in a line.

    Raises:
        CasaFailed: the generator ended badly; its log's end comes with it.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        made_from = _fingerprint(mouss, casa_python)
        files = _right_content(folder, made_from)
        if files is None:
            blocks = sum(eb.qa0 == "Pass" for mous in mouss if mous.restorable for eb in mous.ebs)
            progress(f"calibrating {blocks} execution blocks with CASA")
            files = _make_anew(folder, mouss, casa_python, {**os.environ, **casa_home_env}, cores, made_from)
        _write_metadata(folder, mouss, files, now)


def make_mous(
    folder: Path,
    blocks: int,
    sizes: BlockSizes,
    casa_python: Path,
    casa_home_env: Mapping[str, str],
    cores: int,
    now: datetime,
    progress: Progress,
) -> DemoMous:
    """Make an archive of one restorable MOUS: `blocks` execution blocks, all Pass, two in a session."""
    ebs = tuple(
        DemoBlock(Uid(f"uid://A002/Xd10000/X{0x100 * (n + 1):x}"), 1 + n // 2, _FIRST_EB + timedelta(hours=12 * n))
        for n in range(blocks)
    )
    mous = DemoMous(Uid("uid://A001/X1300/X100"), "2017.1.00001.S", ebs, sizes=sizes)
    make_archive(folder, casa_python, casa_home_env, cores, now, progress, (mous,))
    return mous


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Whoever comes second waits, and finds the archive made."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_anew(
    folder: Path,
    mouss: Sequence[DemoMous],
    casa_python: Path,
    environment: Mapping[str, str],
    cores: int,
    made_from: str,
) -> Files:
    """Make everything but the metadata beside the folder, then put it in its place."""
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)  # left by a run that was killed
    (new / "ngas").mkdir(parents=True)
    try:
        files = _make_placeholders(new, mouss) | _calibrate(new, mouss, casa_python, environment, cores)
        _write_contents(new, made_from, files)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return files


def _make_placeholders(folder: Path, mouss: Sequence[DemoMous]) -> Files:
    files: Files = {}
    for mous in mouss:
        if not mous.restorable:
            content = f"A placeholder: {mous.uid} is not restorable.\n".encode()
            products = tuple(ProductFile(name, kind, len(content)) for name, kind in placeholder_products(mous))
            for product in products:
                (folder / "ngas" / product.file_id).write_bytes(content)
            files[mous.uid] = products
    return files


def _calibrate(
    folder: Path, mouss: Sequence[DemoMous], casa_python: Path, environment: Mapping[str, str], cores: int
) -> Files:
    """Run the generator in CASA's Python for the restorable MOUSs."""
    restorable = [mous for mous in mouss if mous.restorable]
    if not restorable:
        return {}
    specs = folder / "specs"
    specs.mkdir()
    for mous in restorable:
        (specs / f"{mous.uid.sanitised}.json").write_text(json.dumps(_spec(mous)))
    log, products = specs / "log", specs / "products"
    command = [casa_python, _GENERATOR, "--archive", folder, "--products", products, "--cores", str(cores)]
    with log.open("wb") as output:
        ended = subprocess.run(
            [*map(str, command), *map(str, sorted(specs.glob("*.json")))],
            env=environment,
            cwd=specs,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if ended.returncode != 0:
        raise CasaFailed(
            f"CASA could not make the archive {folder.name} (exit code {ended.returncode}).",
            remedy="The end of its log says why; a full disk is the usual reason.",
            log_tail="\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]),
        )
    made = json.loads(products.read_text())
    shutil.rmtree(specs)
    return _as_files(made)


def _spec(mous: DemoMous) -> dict[str, Any]:
    """One MOUS as `casa_side/mous_spec.py` reads it."""
    return {
        "uid": mous.uid,
        "project_code": mous.project_code,
        "project_uid": mous.project_uid,
        "sched_block_uid": mous.sched_block_uid(0),
        "prefix": mous.prefix,
        "seed": int(mous.uid.rpartition("X")[2], 16),
        "sizes": asdict(mous.sizes),
        "execution_blocks": [
            {
                "uid": eb.uid,
                "session": f"session_{eb.session}",
                "started": eb.started.astimezone(timezone.utc).replace(tzinfo=None).isoformat(),
                "qa0": eb.qa0,
            }
            for eb in mous.ebs
        ],
    }


def _fingerprint(mouss: Sequence[DemoMous], casa_python: Path) -> str:
    """Tells what an archive is made from: the MOUSs, the code that makes them, the version of CASA."""
    code = [*sorted(_imported(_GENERATOR)), Path(__file__), Path(archive_content.__file__)]
    packages = casa_python.parent.parent.glob("lib/python*/site-packages/casatasks-*")
    digest = hashlib.sha256(repr((mouss, sorted(path.name for path in packages))).encode())
    for path in code:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _imported(module: Path, seen: frozenset[Path] = frozenset()) -> frozenset[Path]:
    """A module of casa_side with all those that it imports."""
    seen |= {module}
    for name in re.findall(r"^ *(?:from|import) (\w+)", module.read_text(), re.MULTILINE):
        path = CASA_SIDE / f"{name}.py"
        if path.exists() and path not in seen:
            seen |= _imported(path, seen)
    return seen


def _write_contents(folder: Path, made_from: str, files: Files) -> None:
    """Remember in the folder itself what is in it."""
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    products = {mous_uid: [asdict(file) for file in of_mous] for mous_uid, of_mous in files.items()}
    content = {"made_from": made_from, "sizes": sizes, "products": products}
    (folder / _CONTENTS).write_text(json.dumps(content, indent=1))


def _right_content(folder: Path, made_from: str) -> Files | None:
    """The product files of an archive that is there and right; None if it has to be made."""
    try:
        content = json.loads((folder / _CONTENTS).read_text())
        if content["made_from"] != made_from:
            return None
        if any((folder / name).stat().st_size != size for name, size in content["sizes"].items()):
            return None
        return _as_files(content["products"])
    except (OSError, ValueError, KeyError):
        return None


def _as_files(products: Mapping[str, Sequence[Mapping[str, Any]]]) -> Files:
    return {mous_uid: tuple(ProductFile(**file) for file in files) for mous_uid, files in products.items()}


def _write_metadata(folder: Path, mouss: Sequence[DemoMous], files: Files, now: datetime) -> None:
    """Write metadata.sqlite, replacing an older one in one step. One MOUS was delivered each hour before `now`."""
    part = folder / "metadata.sqlite.part"
    part.unlink(missing_ok=True)
    connection = embedded.create(part)
    delivered = (now - timedelta(hours=1 + number) for number in range(len(mouss)))
    write_many(connection, (mous_record(mous, files[mous.uid], at) for mous, at in zip(mouss, delivered, strict=True)))
    connection.commit()
    connection.close()
    part.replace(folder / "metadata.sqlite")
