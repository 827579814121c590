"""`alma-restore doctor`: looks at everything that a restore needs, and says what to mend."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import typer
from rich.text import Text

from alma_restore.cli.exits import Exit
from alma_restore.cli.options import AsJson
from alma_restore.cli.output import console, print_json
from alma_restore.errors import RestoreError

if TYPE_CHECKING:
    from alma_restore.cli.checks import Check
    from alma_restore.settings import Settings

_MARKS = {"ok": Text("ok   ", "green"), "wrong": Text("wrong", "red"), "not checked": Text("-    ", "dim")}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `remedy` says what to mend."""

    name: str
    verdict: Literal["ok", "wrong", "not checked"]
    sentence: str
    remedy: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Look at everything a restore needs, and say what to mend, a line each; exit code 1 when something is wrong.

    Connections are read from AIRFLOW_CONN_* environment variables; those in Airflow's own database cannot be seen.

    Examples:

        alma-restore doctor

        alma-restore doctor --json
    """
    from alma_restore.cli.checks import CHECKS
    from alma_restore.settings import settings

    here = settings()
    findings = []
    with ThreadPoolExecutor(len(CHECKS)) as threads:
        checks = [threads.submit(look, name, check, here) for name, check in CHECKS.items()]
        for check in checks:
            findings.append(check.result())
            if not as_json:
                _print(findings[-1])
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def look(name: str, check: Check, here: Settings) -> Finding:
    """Carry out one check; whatever goes wrong in it is a finding."""
    from alma_restore.cli.checks import NotChecked

    try:
        return Finding(name, "ok", check(here))
    except NotChecked as reason:
        return Finding(name, "not checked", str(reason))
    except RestoreError as error:
        return Finding(name, "wrong", error.sentence, error.remedy)
    except Exception as error:  # noqa: BLE001 - one check's defect must not hide the others' findings
        return Finding(name, "wrong", f"The check itself failed: {error!r}.", "This is a defect; tell us.")


def _print(finding: Finding) -> None:
    line = Text.assemble(_MARKS[finding.verdict], f" {finding.name:18} {finding.sentence}")
    if finding.remedy:
        line.append(f" {finding.remedy}", "bold")
    console().print(line)
