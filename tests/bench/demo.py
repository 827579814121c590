"""From a fresh clone to the table: set-up, the demo, and the cost of orchestration.

Clones this repository at its last commit into an empty home, so that nothing is there before, runs `./run demo` there
twice, and takes what CASA itself took out of each restore's time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from alma_restore.catalogue.store import Catalogue

REPOSITORY = Path(__file__).parents[2]


def run(home: Path) -> list[dict[str, object]]:
    clone = home / "a clone in a path with blanks"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(clone)], check=True)
    rows = [_timed("./run setup, fresh", clone, "setup"), _timed("./run setup, again", clone, "setup")]
    rows += [_timed("./run demo, first", clone, "demo"), *_restores(clone)]
    rows += [_timed("./run demo, again", clone, "demo")]
    shutil.rmtree(home)
    return rows


def _timed(what: str, clone: Path, command: str) -> dict[str, object]:
    ours = ("ALMA_RESTORE_", "AIRFLOW")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    started = time.monotonic()
    subprocess.run(["./run", command], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    return {"what": what, "seconds": round(time.monotonic() - started, 1), "of which CASA": "", "orchestration": ""}


def _restores(clone: Path) -> list[dict[str, object]]:
    """One row a restore: its wall time, the time in CASA (restoring and verifying), and the difference."""
    catalogue = Catalogue(f"sqlite:///{clone / 'var/demo/run/catalogue.db'}")
    rows: list[dict[str, object]] = []
    for request in catalogue.find(limit=100).requests:
        timings = catalogue.stage_timings(request.id)
        casa = sum(each.seconds or 0.0 for each in timings if each.stage in ("run_casa", "verify"))
        if request.ended_at is None or not casa:
            continue
        seconds = (request.ended_at - request.created_at).total_seconds()
        delivery = catalogue.delivery(request.id)
        blocks = len(list(Path(delivery.path).glob("*.ms"))) if delivery else 0
        rows.append(
            {
                "what": f"restore of {request.mous_uid} ({blocks} EBs)",
                "seconds": round(seconds, 1),
                "of which CASA": round(casa, 1),
                "orchestration": round(seconds - casa, 1),
            }
        )
    return rows
