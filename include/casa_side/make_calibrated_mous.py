"""Make calibrated MOUSs with real CASA and put them into an embedded archive.

    make_calibrated_mous.py --archive DIR --products JSON [--cores N] SPEC...

Each SPEC is a JSON file (`mous_spec.MousSpec`). Below DIR it makes `asdm/` (raw data of every execution block), `ngas/`
(the product files) and `reference/` (the calibrated Pass blocks, as `ms_snapshot` reads them). JSON gets
`{"<MOUS uid>": [{"file_id": …, "file_class": …, "size_bytes": …}, …]}`. Execution blocks are made side by side.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from block_products import MadeBlock, make_block
from mous_products import Product, write_mous_products
from mous_spec import MousSpec


def make_calibrated_mous(specs: Sequence[MousSpec], archive: Path, cores: int) -> dict[str, list[Product]]:
    """Make each MOUS of `specs`; the answer lists its product files."""
    for name in ("asdm", "ngas", "reference"):
        (archive / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="calibrating-", dir=archive) as scratch:
        made = _make_blocks(specs, archive, Path(scratch), cores)
        casa_version = _casa_version()
        return {spec.uid: write_mous_products(spec, made[spec.uid], casa_version, archive / "ngas") for spec in specs}


def _make_blocks(specs: Sequence[MousSpec], archive: Path, scratch: Path, cores: int) -> dict[str, list[MadeBlock]]:
    """Make all execution blocks in fresh processes, big ones first, and collect the calibrated ones of each MOUS."""
    jobs = [(spec, block) for spec in specs for block in spec.execution_blocks]
    jobs.sort(key=lambda job: (job[1] in job[0].passed, job[0].sizes.scale, job[0].sizes.antennas), reverse=True)
    # Fresh processes, for CASA does not survive a fork; each imports it once and takes one block after the other.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(cores, len(jobs)), mp_context=fresh) as pool:
        started: dict[str, Future[MadeBlock | None]] = {
            block.uid: pool.submit(make_block, spec, block, archive, scratch / block.vis.removesuffix(".ms"))
            for spec, block in jobs
        }
        finished = {uid: job.result() for uid, job in started.items()}
    return {
        spec.uid: [made for block in spec.execution_blocks if (made := finished[block.uid]) is not None]
        for spec in specs
    }


def _casa_version() -> str:
    """The version of this CASA as manifests spell it: `6.7.0-31` for the package 6.7.0.31."""
    release, _, build = version("casatasks").rpartition(".")
    return f"{release}-{build}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, required=True, help="folder of the embedded archive")
    parser.add_argument("--products", type=Path, required=True, help="where the list of product files goes")
    parser.add_argument("--cores", type=int, default=1, help="execution blocks made side by side")
    parser.add_argument("spec", type=Path, nargs="+", help="what to make")
    asked = parser.parse_args()
    products = make_calibrated_mous([MousSpec.read(path) for path in asked.spec], asked.archive.resolve(), asked.cores)
    listed = {uid: [asdict(product) for product in files] for uid, files in products.items()}
    asked.products.write_text(json.dumps(listed, indent=2) + "\n")


if __name__ == "__main__":
    main()
