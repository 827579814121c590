"""A stand-in for `asdmExportLight`, with the real command's manners (DOMAIN section 6).

`python -m alma_restore.demo.asdm_export_light <eb uid>` writes the folder `uid___A002_...` into the current directory,
copied from `asdm/` of the embedded archive that ALMA_EMBEDDED_ARCHIVE names.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: asdmExportLight <execution block uid>", file=sys.stderr)
        return 2
    archive = os.environ.get("ALMA_EMBEDDED_ARCHIVE", "")
    if not archive:
        print("asdmExportLight: ALMA_EMBEDDED_ARCHIVE names no archive", file=sys.stderr)
        return 1
    name = arguments[0].replace(":", "_").replace("/", "_")
    source = Path(archive) / "asdm" / name
    if not name.startswith("uid___") or not source.is_dir():
        print(f"asdmExportLight: {arguments[0]}: no such ASDM in the archive", file=sys.stderr)
        return 1
    print(f"asdmExportLight: exporting {arguments[0]}")
    shutil.copytree(source, name, dirs_exist_ok=True)
    print(f"asdmExportLight: {name} done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
