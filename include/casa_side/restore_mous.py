"""Restore the calibrated MeasurementSets that a PPR asks for, with CASA's tasks alone.

`python restore_mous.py <PPR> [--cores N]`, run in working/, does what the ALMA pipeline's `hifa_restoredata` does, and
`hif_mstransform` where the PPR asks for it. It leaves what the pipeline leaves: `<eb>.ms` (and `<eb>_targets.ms`), its
flag versions, the calibration tables, CASA's logs and casa_commands.log. It fails as the pipeline fails: exit code 1,
`errorexit-*.txt` in working/ and products/, the reason in the log.

Imports no CASA itself: each execution block gets a process of its own, started fresh, because CASA does not survive a
fork, and because damaged raw data can kill the process that reads them.

Source: DOMAIN sections 11 and 12.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import ppr_reader
from eb_processes import restore_side_by_side
from plan import make_plan
from signs import RestoreFailed, write_errorexit


def restore(ppr: Path, cores: int) -> None:
    """Raises:
    RestoreFailed: the first reason why not every execution block was restored.
    """
    started = time.monotonic()
    plan = make_plan(ppr_reader.read(ppr), working=Path.cwd())
    print(f"{plan.manifest.path.name}: {len(plan.jobs)} execution blocks, at most {cores} at once", flush=True)
    plan.unpack_caltables()
    restore_side_by_side(plan.jobs, cores)
    print(f"restored {len(plan.jobs)} execution blocks in {time.monotonic() - started:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ppr", type=Path, help="the pipeline processing request")
    parser.add_argument("--cores", type=int, default=1, help="execution blocks restored side by side")
    arguments = parser.parse_args()
    try:
        restore(arguments.ppr, max(arguments.cores, 1))
    except (RestoreFailed, OSError) as error:
        failure = error if isinstance(error, RestoreFailed) else RestoreFailed("casa_failed", "working", f"{error}.")
        print(failure.line(), flush=True)
        write_errorexit(Path.cwd(), Path.cwd().parent / "products")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
