"""The restore report: one HTML file that needs nothing but itself."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from alma_restore import __version__, units
from alma_restore.casa.installation import Installation
from alma_restore.catalogue.records import StageTiming
from alma_restore.products import manifest as manifests
from alma_restore.report.plots import Plot, Plots
from alma_restore.rules.casa_version import CasaVersion
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace, write_whole

_STAGES = {
    "open_request": "Accept the request",
    "prepare_workspace": "Make room",
    "fetch_asdm": "Fetch raw data",
    "fetch_products": "Fetch products",
    "stage": "Check products",
    "write_ppr": "Write the PPR",
    "run_casa": "Run CASA",
    "verify": "Verify",
}
_RESTORE_SCRIPT = "casa_piperestorescript.py"
_LISTED_LINES = 1_500
_COLOURS = 7  # of calibrators, in plot_figures.py and report.css


@dataclass(frozen=True, slots=True)
class Number:
    """One of the numbers that are told first; `tone` is `good`, `busy` (look twice) or empty."""

    label: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """When one stage ran, in percent of the time from the first stage to the report."""

    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Stage:
    label: str
    seconds: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One execution block.

    Attributes:
        figures: those of verification.
        listing: what listobs says of its MeasurementSet.
    """

    uid: Uid
    session: str
    raw: Mapping[str, Any]
    measurement_set: Mapping[str, Any]
    figures: Mapping[str, Any]
    plots: Sequence[Plot]
    listing: str

    @property
    def fields(self) -> Iterator[tuple[Mapping[str, Any], int | None]]:
        """The figures of each field, and the number of its colour in the plots, where calibrators have one each."""
        colours = itertools.cycle(range(_COLOURS))
        for field in self.figures["by_field"]:
            yield field, next(colours) if field["spectral_windows"] else None


def write(
    workspace: Workspace,
    installation: Installation,
    facts: Mapping[str, Any],
    timings: Sequence[StageTiming],
    plots: Plots,
    now: datetime | None = None,
) -> Path:
    """Write report.html into a verified workspace.

    Args:
        facts: as `facts.gather` tells them.
        timings: of the stages so far; the last one still runs.
        plots: what could be drawn.
        now: when the report is made.
    """
    made_at = now or datetime.now(timezone.utc)
    stages = tuple(_stages(timings, made_at))
    words = {
        "facts": facts,
        "casa": _casa(facts),
        "numbers": [*_numbers(facts), _time_taken(timings, made_at), _casa(facts)],
        "plots_missing": plots.missing,
        "blocks": [_block(workspace, facts, Uid(text), plots) for text in facts["execution_blocks"]],
        "stages": stages,
        "restore_script": _restore_script(facts),
        "links": "\n".join(_links(workspace)),
        "command": shlex.join(installation.argv(Path("../PPR.xml"), cores=1)),
        "task_calls": _task_calls(workspace),
        "made_at": made_at,
        "version": __version__,
    }
    path = workspace.root / "report.html"
    write_whole(path, _templates().get_template("report.html.jinja").render(words).encode())
    return path


def _numbers(facts: Mapping[str, Any]) -> Iterator[Number]:
    blocks = facts["execution_blocks"]
    sessions = [name.removeprefix("session_") for name, uids in facts["sessions"].items() if set(uids) & set(blocks)]
    made = sum(each["size_bytes"] for each in facts["measurement_sets"].values())
    raw = sum(each["size_bytes"] for each in facts["raw_data"].values())
    yield Number("Execution blocks", str(len(blocks)), f"of session {', '.join(sessions)}")
    yield Number("Calibrated data", units.size(made), f"from {units.size(raw)} of raw data")
    if split := facts["split"]:
        size = sum(each["size_bytes"] for each in split["measurement_sets"].values())
        yield Number("Split off", units.size(size), split["what"])
    fields = [field for block in blocks.values() for field in block["by_field"] if field["samples"]]
    samples = sum(field["samples"] for field in fields)
    after, archived = (
        sum(field["samples"] * field[name] for field in fields) / samples for name in ("flagged", "flagged_in_archive")
    )
    yield Number("Flagged", units.percent(after), f"{units.percent(archived)} in the archived flags")
    scatters = [
        (quality["phase_scatter_deg"], field["name"], spw)
        for field in fields
        for spw, quality in field["spectral_windows"].items()
        if quality["phase_scatter_deg"] is not None
    ]
    if scatters:
        worst, name, spw = max(scatters)
        yield Number("Largest phase scatter", f"{worst:.1f}°", f"of calibrator {name}, window {spw}")


def _time_taken(timings: Sequence[StageTiming], now: datetime) -> Number:
    total = (now - timings[0].started).total_seconds() if timings else 0.0
    casa = sum(timing.seconds or 0 for timing in timings if timing.stage == "run_casa")
    return Number("Time taken", units.duration(total), f"{units.duration(casa)} of it CASA")


def _casa(facts: Mapping[str, Any]) -> Number:
    """The CASA that restored, beside the one that calibrated."""
    restored, calibrated = facts["restored_with"]["casa"], facts["calibrated_with"]["casa"]
    if not calibrated:
        return Number("CASA", restored, "nobody says which one calibrated", "busy")
    if CasaVersion.parse(restored).same_as(CasaVersion.parse(calibrated)):
        return Number("CASA", restored, "the version that calibrated", "good")
    return Number("CASA", restored, f"calibrated with {calibrated}", "busy")


def _stages(timings: Sequence[StageTiming], now: datetime) -> Iterator[Stage]:
    """Each stage once, in order of its first start; raw data and products are fetched by turns."""
    if not timings:
        return
    began = timings[0].started
    total = max((now - began).total_seconds(), 0.001)
    for name in dict.fromkeys(timing.stage for timing in timings):
        runs = [
            ((timing.started - began).total_seconds(), ((timing.ended or now) - timing.started).total_seconds())
            for timing in timings
            if timing.stage == name
        ]
        spans = tuple(Span(round(100 * start / total, 2), round(100 * seconds / total, 2)) for start, seconds in runs)
        yield Stage(_STAGES.get(name, name), sum(seconds for _, seconds in runs), spans)


def _block(workspace: Workspace, facts: Mapping[str, Any], uid: Uid, plots: Plots) -> Block:
    return Block(
        uid=uid,
        session=next((name for name, uids in facts["sessions"].items() if uid in uids), ""),
        raw=facts["raw_data"][uid],
        measurement_set=facts["measurement_sets"][uid],
        figures=facts["execution_blocks"][uid],
        plots=plots.by_eb.get(uid, ()),
        listing=_listing(workspace, uid),
    )


def _listing(workspace: Workspace, uid: Uid) -> str:
    """What listobs says, without the folders of this machine."""
    lines = (workspace.logs / f"{uid.sanitised}.ms.listobs.txt").read_text(errors="replace").splitlines()
    if len(lines) > _LISTED_LINES:
        lines[_LISTED_LINES:] = [f"... {len(lines) - _LISTED_LINES} more lines; listobs shows them"]
    return "\n".join(lines).replace(f"{workspace.working}/", "")


def _task_calls(workspace: Workspace) -> str:
    """CASA's task calls as its run has noted them, with paths as seen from working/."""
    return "\n".join(filter(None, map(_task_calls_of_run, workspace.runs)))


def _task_calls_of_run(run: Workspace) -> str:
    logs = [run.working / "casa_commands.log", *run.working.glob("pipeline-*/html/casa_commands.log")]
    noted = [log.read_text(errors="replace") for log in logs if log.is_file()]
    return "\n".join(noted).replace(f"{run.root}/", "../").rstrip()


def _restore_script(facts: Mapping[str, Any]) -> str:
    return next((file["name"] for file in facts["products"] if file["name"].endswith(_RESTORE_SCRIPT)), "")


def _links(workspace: Workspace) -> Iterator[str]:
    """The commands that do what staging did: give delivered files the names that the manifest has for them."""
    for name in manifests.in_folder(workspace.products).needed:
        link = workspace.products / name
        if link.is_symlink():
            yield shlex.join(("ln", "-s", str(link.readlink()), name))


def read_templates() -> None:
    """Compile every template now, so that processes forked from this one need not."""
    for name in _templates().list_templates(extensions=["jinja"]):
        _templates().get_template(name)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("alma_restore.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "size": units.size,
        "duration": units.duration,
        "moment": units.moment,
        "percent": units.percent,
    }
    return templates
