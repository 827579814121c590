"""How fast files come out of NGAS, verified, beside curl and the disk itself: `./run bench fetch`.

Everything goes over loopback from the stand-in, whose files are in memory by then. Each figure is the best of three,
taken in turns; ours are verified and on the disk (fsync) when the clock stops, curl's are neither. The same into
memory (/dev/shm) shows what the disk does not allow, and the same over streams of 100 MiB/s each what several at once
are for: far from the archive, a stream is slower than the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alma_restore.archive.ngas import NgasClient, NgasNode
from alma_restore.archive.records import ProductFile
from alma_restore.settings import NgasSettings

MIB = 1024**2
LARGE = {"large.tgz": 2048 * MIB}
MANY = {f"many-{number}.tgz": 256 * MIB for number in range(8)}
ROUNDS = 3
FAR_STREAM_BYTES_S = 100 * MIB


def run(home: Path) -> list[dict[str, Any]]:
    """Measure one large file and eight smaller ones."""
    if not shutil.which("curl"):
        raise SystemExit("The peer of this benchmark is curl, which is not installed.")
    archive = home / "ngas"
    archive.mkdir(parents=True, exist_ok=True)
    try:
        for name, size in (LARGE | MANY).items():
            _make(archive / name, size)
        with _node(archive) as near, _node(archive, "--stream-bytes-s", str(FAR_STREAM_BYTES_S)) as far:
            return _measure(home, near, far)
    finally:
        shutil.rmtree(archive)


@contextmanager
def _node(archive: Path, *options: str) -> Iterator[int]:
    """A stand-in NGAS in a process of its own; its port."""
    told = archive.with_name(f"port-{len(options)}")
    module = [sys.executable, "-m", "alma_restore.demo.ngas_server"]
    server = subprocess.Popen([*module, "--root", archive, "--port", "0", "--port-file", told, *options])
    try:
        yield _port(told)
    finally:
        server.terminate()
        server.wait()
        told.unlink(missing_ok=True)


def _measure(home: Path, near: int, far: int) -> list[dict[str, Any]]:
    disk, memory = home / "into", Path("/dev/shm") / f"alma-restore-bench-{os.getpid()}"
    ways: dict[tuple[str, str], tuple[Path, Callable[[Path], dict[str, float]]]] = {
        ("1 x 2 GiB", "curl -o"): (disk, lambda into: _curl(near, into, LARGE)),
        ("1 x 2 GiB", "ours"): (disk, lambda into: _ours(near, into, LARGE)),
        ("8 x 256 MiB", "curl, one after another"): (disk, lambda into: _curl(near, into, MANY)),
        ("8 x 256 MiB", "ours"): (disk, lambda into: _ours(near, into, MANY)),
        ("8 x 256 MiB into memory", "curl, one after another"): (memory, lambda into: _curl(near, into, MANY)),
        ("8 x 256 MiB into memory", "ours"): (memory, lambda into: _ours(near, into, MANY)),
        ("8 x 256 MiB, 100 MiB/s a stream", "curl, one after another"): (disk, lambda into: _curl(far, into, MANY)),
        ("8 x 256 MiB, 100 MiB/s a stream", "ours"): (disk, lambda into: _ours(far, into, MANY)),
        ("2 GiB", "written and synced"): (disk, _written),
    }
    best: dict[tuple[str, str], dict[str, float]] = {}
    with _emptied(disk) as into:
        for port in (near, far):  # each stand-in computes its checksums, once
            _ours(port, into, LARGE | MANY)
    for _ in range(ROUNDS):
        for way, (folder, measure) in ways.items():
            with _emptied(folder) as into:
                taken = measure(into)
            best[way] = min(taken, best.get(way, taken), key=lambda one: one["seconds"])
    return [_row(what, how, taken, best) for (what, how), taken in best.items()]


def _row(what: str, how: str, taken: dict[str, float], best: dict[tuple[str, str], dict[str, float]]) -> dict[str, Any]:
    curl = next((one["seconds"] for (other, by), one in best.items() if other == what and "curl" in by), None)
    return {
        "what": what,
        "how": how,
        "seconds": round(taken["seconds"], 2),
        "MiB/s": round(2048 / taken["seconds"]),
        "of curl's speed": round(curl / taken["seconds"], 2) if curl else "",
        "peak memory, MiB": round(taken["peak_bytes"] / MIB) if "peak_bytes" in taken else "",
    }


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A new folder, and nothing left to write from before; gone afterwards."""
    folder.mkdir(parents=True)
    os.sync()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _curl(port: int, into: Path, files: dict[str, int]) -> dict[str, float]:
    started = time.perf_counter()
    for name in files:
        address = f"http://127.0.0.1:{port}/RETRIEVE?file_id={name}"
        subprocess.run(["curl", "--silent", "--fail", "-o", into / name, address], check=True)
    return {"seconds": time.perf_counter() - started}


def _ours(port: int, into: Path, files: dict[str, int]) -> dict[str, float]:
    """In a process of its own, whose peak memory it tells."""
    told = subprocess.run(
        [sys.executable, __file__, str(port), into, json.dumps(files)], check=True, stdout=subprocess.PIPE
    )
    return dict(json.loads(told.stdout))


def _written(into: Path) -> dict[str, float]:
    block = os.urandom(MIB)
    started = time.perf_counter()
    with (into / "written").open("wb", buffering=0) as stream:
        for _ in range(2048):
            stream.write(block)
        os.fsync(stream.fileno())
    return {"seconds": time.perf_counter() - started}


def _make(path: Path, size: int) -> None:
    block = os.urandom(64 * MIB)
    with path.open("wb") as stream:
        for _ in range(size // len(block)):
            stream.write(block)


def _port(told: Path) -> int:
    while not told.exists():
        time.sleep(0.05)
    return int(told.read_text())


def _fetch(port: int, into: Path, files: dict[str, int]) -> dict[str, float]:
    settings = NgasSettings()
    client = NgasClient([NgasNode("127.0.0.1", port)], settings, into / "locks")
    products = [ProductFile(name, "calibration", size) for name, size in files.items()]
    started = time.perf_counter()
    with ThreadPoolExecutor(settings.streams_per_node) as pool:
        list(pool.map(lambda product: client.fetch(product, into), products))
    seconds = time.perf_counter() - started
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"seconds": seconds, "peak_bytes": int(status["VmHWM"].split()[0]) * 1024}


if __name__ == "__main__":
    print(json.dumps(_fetch(int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))))
