"""Stands in for CASA's Python in load tests: it "restores" by copying one calibrated MeasurementSet, made once by CASA.

Registered with engine = "copy" (docs/casa.md), it is called as CASA's Python is: with restore_mous.py it copies the
prepared MeasurementSet under the name of each execution block that the PPR names; with verify_ms.py it tells the
figures that CASA found in the prepared one, of copies that have its very files; with plot_figures.py it gives that
one's plots. COPY_ENGINE_PREPARED names the folder of all these; COPY_ENGINE_FAULTS says how often, of one, a run fails.

Nothing but the standard library, and little of it: it is started thousands of times.
"""

import json
import os
import random
import re
import shutil
import signal
import sys
from pathlib import Path

PREPARED = Path(os.environ.get("COPY_ENGINE_PREPARED", ""))
MS, FIGURES, PLOTS, SAMPLES, LISTING = (
    PREPARED / name for name in ("prepared.ms", "figures.json", "plots.json", "samples.npz", "listobs.txt")
)


def restore(ppr: Path) -> int:
    """Into the current directory, as the real program does; with a fault it ends as CASA is known to end."""
    fault = _fault("says why", "is killed", "leaves half of it", "ends well without a result")
    for name in re.findall(r"AsdmDiskName>\s*([^<\s]+)", ppr.read_text()):
        if fault == "ends well without a result":
            break
        if fault == "says why":
            print("SEVERE  restore_mous::casa  copying failed, as it was told to", flush=True)
            Path("errorexit-1.txt").touch()
            return 1
        if fault == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        shutil.copytree(MS, f"{name}.ms")
        if fault == "leaves half of it":
            shutil.rmtree(Path(f"{name}.ms", "ANTENNA"))
    return 0


def verify(result: Path) -> int:
    """The look into each MeasurementSet that is asked for: is it the prepared one, file by file?"""
    wanted, figures = _files(MS), json.loads(FIGURES.read_text())
    found = {}
    for one in json.load(sys.stdin):
        ms = Path(one["ms"])
        if _files(ms) != wanted:
            print(f"{ms.name} is not a whole copy of the prepared MeasurementSet.")
            return 1
        found[one["ms"]] = figures
        shutil.copyfile(SAMPLES, result.parent / f"{ms.name}.samples.npz")
        shutil.copyfile(LISTING, result.parent / f"{ms.name}.listobs.txt")
    result.write_text(json.dumps(found))
    return 0


def plot(result: Path, *samples: str) -> int:
    plots = json.loads(PLOTS.read_text())
    result.write_text(json.dumps({Path(path).name.removesuffix(".samples.npz"): plots for path in samples}))
    return 0


def _files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def _fault(*kinds: str) -> str:
    return random.choice(kinds) if random.random() < float(os.environ.get("COPY_ENGINE_FAULTS", "0")) else ""


def main(arguments: list[str]) -> int:
    program = Path(arguments[0]).name
    if program == "restore_mous.py":
        return restore(Path(arguments[1]))
    if program == "verify_ms.py":
        return verify(Path(arguments[1]))
    if program == "plot_figures.py":
        return plot(Path(arguments[1]), *arguments[2:])
    print(PREPARED)  # asked where its measures tables are
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
