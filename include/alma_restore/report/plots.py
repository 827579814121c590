"""The report's plots, drawn by CASA's own Python from what verification has sampled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alma_restore.casa import job
from alma_restore.casa.casa_home import CASA_SIDE
from alma_restore.casa.installation import Installation
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

_START_LIMIT_S = 60.0
_LIMIT_PER_EB_S = 30.0
"""Ten times what the plots of an execution block may cost in processor time (tests/report/test_report_plots.py)."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: `svg` belongs into a page that defines its colours (include/casa_side/plot_figures.py).

    matplotlib has escaped every name in it.
    """

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Plots:
    """What could be drawn.

    Attributes:
        by_eb: the plots of each execution block; empty if they could not be drawn.
        missing: why not, in a sentence; empty if they could.
    """

    by_eb: Mapping[Uid, Sequence[Plot]] = field(default_factory=dict)
    missing: str = ""


def draw(workspace: Workspace, installation: Installation, eb_uids: Sequence[Uid]) -> Plots:
    """Draw the plots of each execution block. Nothing depends on them: if they cannot be drawn, the reason is told.

    Args:
        eb_uids: verified ones; verification leaves the samples of each in Logs/.
    """
    result, log = workspace.logs / "figures.json", workspace.logs / "figures.log"
    result.unlink(missing_ok=True)
    samples = [str(workspace.logs / f"{uid.sanitised}.ms.samples.npz") for uid in eb_uids]
    try:
        with log.open("w") as output:
            subprocess.run(
                [str(installation.python), str(CASA_SIDE / "plot_figures.py"), str(result), *samples],
                env=job.environment(installation, workspace),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=workspace.logs,
                timeout=_START_LIMIT_S + _LIMIT_PER_EB_S * len(eb_uids),
                check=True,
            )
        drawn = json.loads(result.read_text())
        return Plots({uid: [Plot(**plot) for plot in drawn[f"{uid.sanitised}.ms"]] for uid in eb_uids})
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        return Plots(missing=f"The plots could not be drawn: {_last_line(log) or error}.")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return next((line.strip().rstrip(".") for line in reversed(lines) if line.strip()), "")
