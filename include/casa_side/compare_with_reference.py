"""Compare restored MeasurementSets with what their calibration gave, bit for bit.

    compare_with_reference.py --reference DIR --out JSON MS...

DIR holds `<name of the MeasurementSet>.npz` files as `ms_snapshot` writes them. The result is
`{"uid___A002_Xd248b5_Xa7a.ms": {"rows": 4180, "identical": true, "differ": []}, ...}`: `identical` tells of
CORRECTED_DATA, FLAG and WEIGHT, `differ` names every column that is not the same. Without a reference both are null.
The exit code is 0 whenever the comparison was made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ms_snapshot import columns

DECISIVE = frozenset({"CORRECTED_DATA", "FLAG", "WEIGHT"})


def compare(vis: Path, reference: Path) -> dict[str, Any]:
    """Compare one MeasurementSet with the snapshot `reference`."""
    if not reference.exists():
        rows = next(len(values) for name, values in columns(vis) if name == "TIME")
        return {"rows": rows, "identical": None, "differ": None}
    with np.load(reference) as expected:
        rows, same, differ = _compared(vis, expected)
    return {"rows": rows, "identical": same >= DECISIVE, "differ": sorted(differ)}


def _compared(vis: Path, expected: Mapping[str, np.ndarray]) -> tuple[int, set[str], set[str]]:
    """The number of rows, the columns that are the same, and those that are not or are in one of the two only."""
    rows, same, seen = 0, set(), set(expected)
    for name, values in columns(vis):
        rows = values.shape[-1]
        seen.add(name)
        if name in expected and _same_bits(values, expected[name]):
            same.add(name)
    return rows, same, seen - same


def _same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and first.dtype == second.dtype and first.tobytes() == second.tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="folder of snapshots")
    parser.add_argument("--out", type=Path, required=True, help="where the result goes")
    parser.add_argument("ms", type=Path, nargs="+", help="MeasurementSets")
    asked = parser.parse_args()
    found = {vis.name: compare(vis, asked.reference / f"{vis.name}.npz") for vis in asked.ms}
    asked.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
