"""A home folder of its own for each CASA run, and the environment that goes with it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, run

from alma_restore.errors import Misconfigured

CASA_SIDE = Path(__file__).parents[2] / "casa_side"
"""The programs of ours that run inside CASA's own Python."""

_FIND_CASADATA = "import casadata; print(casadata.datapath)"

_CONFIG = """\
# CASA refuses to start off line unless it is told where the measures tables are and not to update them.
measurespath = {measures!r}
measures_auto_update = False
data_auto_update = False
"""


def casa_home(folder: Path, casa_python: Path) -> dict[str, str]:
    """Make `folder` a home for CASA from its Python packages, and tell the environment to run it in.

    Nothing of the user's own home is read or written. One thread a process: execution blocks run side by side, one
    process each.

    Args:
        folder: becomes HOME; made if it is not there.
        casa_python: the interpreter that CASA's packages are installed for.

    Returns:
        Variables to add to the environment of every process of this run.

    Raises:
        Misconfigured: the interpreter does not run, or lacks the casadata package.

    Source: DOMAIN section 12.
    """
    config = folder / ".casa" / "config.py"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(_CONFIG.format(measures=_measures_path(casa_python)))
    environment = {
        "HOME": str(folder),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",  # empty: not set. Without byte code on disk CASA starts in 6 s instead of 2
        "PYTHONNOUSERSITE": "1",
    }
    installation = casa_python.parent.parent
    if os.access(installation, os.W_OK):  # matplotlib lists all fonts once per installation, not once per run
        environment["MPLCONFIGDIR"] = str(installation / "matplotlib")
    return environment


@cache
def _measures_path(casa_python: Path) -> str:
    try:
        found = run([casa_python, "-I", "-c", _FIND_CASADATA], stdin=DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Misconfigured(
            f"CASA's Python {casa_python} cannot be started: {error.strerror}.",
            remedy="`./run setup` installs it; or name another one in the CASA installations file.",
        ) from error
    if found.returncode != 0:
        raise Misconfigured(
            f"CASA's Python {casa_python} has no casadata package, the measures tables that CASA needs to start.",
            remedy="Install requirements-casa.txt for it.",
        )
    return found.stdout.strip()
