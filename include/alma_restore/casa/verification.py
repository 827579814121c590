"""Look into every restored MeasurementSet: is it all there, calibrated, and flagged as the archive says?"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alma_restore.archive.asdm_structure import AsdmFacts
from alma_restore.casa import job
from alma_restore.casa.casa_home import CASA_SIDE
from alma_restore.casa.installations import Installation
from alma_restore.errors import CasaFailed, NotAvailable
from alma_restore.ppr import commands
from alma_restore.products import manifest as manifests
from alma_restore.settings import VerificationSettings
from alma_restore.split import SplitOptions, full_name, made, split_name, window_numbers
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

_ALWAYS_CALIBRATED = {"AMPLITUDE", "BANDPASS", "PHASE", "TARGET"}
_TOLD_AT_MOST = 3
_KILLED = {code for number in (signal.SIGKILL, signal.SIGTERM) for code in (-number, 128 + number)}
"""How a Python ends that somebody has killed: said of itself, or by a shell around it."""
_SEE = "Nothing is delivered. See the log's end; then restore it again."


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What was found in the MeasurementSets of one restore.

    Attributes:
        figures: by execution block: rows, flagged fractions, amplitudes and phase scatter, as
            include/casa_side/verify_ms.py tells them.
        warnings: figures beyond their thresholds, in sentences.
    """

    figures: Mapping[Uid, Mapping[str, Any]]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {str(uid): dict(figures) for uid, figures in self.figures.items()}


def verify(
    workspace: Workspace,
    installation: Installation,
    facts: Mapping[Uid, AsdmFacts],
    settings: VerificationSettings,
    split: SplitOptions | None = None,
) -> VerificationReport:
    """Hold each MeasurementSet against its raw data and against what a calibrated one looks like.

    Args:
        facts: what the raw data of each execution block hold.
        split: what should have been split off; it is held against the calibrated data.

    Raises:
        CasaFailed: one is missing, incomplete, not calibrated, or has lost flags; what was split off is not what was
            asked for; or a figure is beyond its threshold and the settings call that a failure.
        NotAvailable: CASA's Python was killed while it looked.

    Source: contract 5 of the design, DOMAIN section 9.
    """
    wanted = [name for uid in facts for name in made(uid, split)]
    if missing := [name for name in wanted if not (workspace.working / name).is_dir()]:
        raise CasaFailed(f"There is no MeasurementSet {', '.join(missing)}.", remedy=_SEE)
    figures = _look(workspace, installation, list(facts), split)
    for uid, found in figures.items():
        if faults := list(_faults(found, facts[uid])):
            raise CasaFailed(
                f"The MeasurementSet of {uid} is not the calibrated one: {'; '.join(faults)}.", remedy=_SEE
            )
        if split and (faults := list(_faults_of_split(found["split"], split))):
            raise CasaFailed(f"What was split off of {uid} is not right: {'; '.join(faults)}.", remedy=_SEE)
    warnings = tuple(f"{uid}: {text}" for uid, found in figures.items() for text in _violations(found, settings))
    if warnings and settings.violation == "fail":
        raise CasaFailed(
            f"The restored data are beyond the thresholds: {'; '.join(warnings)}.",
            remedy="Look at the data; verification.violation = 'warn' delivers such data with warnings.",
        )
    return VerificationReport(figures, warnings)


def _faults(found: Mapping[str, Any], facts: AsdmFacts) -> Iterator[str]:
    """What no restored MeasurementSet may show."""
    if not found["corrected"]:
        yield "it has no CORRECTED_DATA"
    if found["missing_rows"]:
        yield f"it lacks rows that the raw data have ({'; '.join(found['missing_rows'])})"
    for name, wanted in (("scans", facts.scans), ("fields", facts.fields)):
        if list(found[name]) != list(wanted):
            yield f"its {name} are {found[name]}, those of the raw data {list(wanted)}"
    for name in ("antennas", "spectral_windows"):
        if found[name] != getattr(facts, name):
            yield f"it has {found[name]} {name.replace('_', ' ')}, the raw data {getattr(facts, name)}"
    for field in found["by_field"]:
        yield from _faults_of_field(field)
    if found["corrected"] and not any(field["open"] for field in found["by_field"]):
        yield "all of it is flagged"


def _faults_of_field(field: Mapping[str, Any]) -> Iterator[str]:
    if field["not_finite"]:
        yield f"{field['not_finite']} unflagged samples of {field['name']} are not finite"
    if field["lost_flags"]:
        yield f"{field['lost_flags']} samples of {field['name']} have lost their archived flags"
    if not _ALWAYS_CALIBRATED.isdisjoint(field["intents"]) and field["open"] and not field["changed"]:
        yield f"CORRECTED_DATA of {field['name']} is DATA, unchanged"


def _faults_of_split(found: Mapping[str, Any], split: SplitOptions) -> Iterator[str]:
    """What nothing that was split off may show; `found` is told by include/casa_side/split_figures.py."""
    if found["missing"]:
        yield f"it lacks data ({'; '.join(found['missing'][:_TOLD_AT_MOST])})"
    if absent := window_numbers(split.spw) - set(map(int, found["windows"])):
        yield f"it has no spectral window {', '.join(map(str, sorted(absent)))}"
    if not found["rows"]:
        yield "it is empty"
    if found["strays"]:
        yield f"it has {found['strays']} rows that nobody asked for"
    for spw, window in found["windows"].items():
        channels = window["of"] // min(split.chanbin, window["of"])
        if window["channels"] != channels:
            yield f"its spectral window {spw} has {window['channels']} channels instead of {channels}"
    if found["differ"]:
        yield f"{found['differ']} of its samples are not those of the calibrated data"
    if found["lost_flags"]:
        yield f"{found['lost_flags']} of its samples have lost their flags"


def _violations(found: Mapping[str, Any], settings: VerificationSettings) -> Iterator[str]:
    """Figures that an astronomer would look at twice."""
    for field in found["by_field"]:
        if field["intents"] and field["samples"] and field["flagged"] > settings.max_flagged:
            yield f"{field['flagged']:.0%} of {field['name']} is flagged (threshold {settings.max_flagged:.0%})"
        for spw, quality in field["spectral_windows"].items():
            scatter = quality["phase_scatter_deg"]
            if scatter is not None and scatter > settings.max_phase_scatter_deg:
                yield (
                    f"the phase of calibrator {field['name']} in window {spw} scatters by {scatter:.0f} degrees"
                    f" (threshold {settings.max_phase_scatter_deg:.0f})"
                )


def _look(
    workspace: Workspace, installation: Installation, uids: list[Uid], split: SplitOptions | None
) -> dict[Uid, Any]:
    """Let CASA's own Python read the MeasurementSets."""
    result = workspace.logs / "verification.json"
    result.unlink(missing_ok=True)
    calapply = {asdm.eb_uid: asdm.calapply for asdm in manifests.in_folder(workspace.products).asdms}
    asked = [
        {
            "ms": str(workspace.working / full_name(uid)),
            "asdm": str(workspace.rawdata / uid.sanitised),
            "calapply": str(workspace.products / calapply[uid]),
            "split": split
            and {"ms": str(workspace.working / split_name(uid)), "options": commands.split_parameters(split)},
        }
        for uid in uids
    ]
    log = workspace.logs / "verification.log"
    with log.open("w") as output:
        ended = subprocess.run(
            [str(installation.python), str(CASA_SIDE / "verify_ms.py"), str(result)],
            env=job.environment(installation, workspace),
            input=json.dumps(asked),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=workspace.logs,
        )
    if ended.returncode in _KILLED:
        raise NotAvailable(
            "CASA's Python was killed while it looked into the MeasurementSets.",
            remedy="Verify them again. Did the machine run out of memory?",
        )
    if ended.returncode != 0 or not result.is_file():
        raise CasaFailed(
            f"The MeasurementSets could not be read: CASA's Python ended with exit code {ended.returncode}.",
            remedy="See the log's end.",
            log_tail="\n".join(log.read_text(errors="replace").splitlines()[-30:]),
        )
    found = json.loads(result.read_text())
    return {uid: found[one["ms"]] for uid, one in zip(uids, asked, strict=True)}
