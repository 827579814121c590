"""The exporter's stand-in, which fails once in a hundred times: refuses, is killed half-way, or leaves out a file."""

import os
import random
import shutil
import signal
import sys
from pathlib import Path

from alma_restore.demo import asdm_export_light

RATE = 0.01


def main(arguments: list[str]) -> int:
    fault = random.choice(("refuses", "is killed", "loses a file")) if random.random() < RATE else ""
    if fault == "refuses":
        print("asdmExportLight: cannot connect to the archive", file=sys.stderr)
        return 1
    code = asdm_export_light.main(arguments)
    exported = Path(arguments[-1].replace(":", "_").replace("/", "_"))
    if fault:
        shutil.rmtree(exported / "ASDMBinary")
    if fault == "is killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
