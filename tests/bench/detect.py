"""How long detection takes in a small and in a whole observatory's archive: `./run bench detect`.

A window's figure is the best of ten, a sweep's the only one; each in a process of its own, whose peak memory is told.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
import zlib
from contextlib import closing
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.demo.many_mous import UNTIL, many_mous
from alma_restore.demo.metadata import write_many
from alma_restore.rules.eligibility import judge

SIZES = (1_000, 100_000)
FILES = 20
WINDOW = timedelta(days=2)


def run(home: Path) -> list[dict[str, Any]]:
    """Measure one poll of a 2-day window and the full sweep, at each size of archive."""
    rows = []
    for size in SIZES:
        archive = made(home, size)
        for what in ("window", "sweep"):
            found = subprocess.run(
                [sys.executable, __file__, what, str(archive)], check=True, stdout=subprocess.PIPE, text=True
            )
            rows.append(
                {"what": what, "mous_in_archive": size, "files_in_archive": size * FILES, **json.loads(found.stdout)}
            )
    for row in rows:
        smallest = next(other for other in rows if other["what"] == row["what"])
        row["ratio"] = round(row["seconds"] / smallest["seconds"], 2)
    return rows


def measure(what: str, archive: Path) -> dict[str, Any]:
    metadata = Metadata(lambda: closing(embedded.connect(archive)))
    seconds = []
    found = restorable = 0
    for _ in range(10 if what == "window" else 1):
        started = time.perf_counter()
        if what == "window":
            calibrations = metadata.calibrated_between(UNTIL - WINDOW, UNTIL)
        else:
            calibrations = metadata.all_calibrations()
        found = restorable = 0
        for calibration in calibrations:
            found += 1
            restorable += judge(calibration).restorable and bool(calibration.fingerprint)
        seconds.append(time.perf_counter() - started)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"found": found, "restorable": restorable, "seconds": round(min(seconds), 4), "peak_mb": round(peak_mb)}


def made(home: Path, size: int) -> Path:
    """An archive's metadata, made once for the schema of today."""
    schema = resources.files(embedded.__package__).joinpath("embedded_schema.sql").read_bytes()
    archive = home / f"{size}-mous-{FILES}-files-{zlib.crc32(schema):08x}.sqlite"
    if not archive.exists():
        part = archive.with_suffix(f".{os.getpid()}.part")
        part.unlink(missing_ok=True)
        with closing(embedded.create(part)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            write_many(connection, many_mous(size, files=FILES))
            connection.commit()
        part.rename(archive)
    return archive


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
