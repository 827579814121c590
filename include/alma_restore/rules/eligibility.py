"""Which MOUSs can be restored, and why the others cannot, in words for an astronomer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

from alma_restore.archive.records import Calibration, ProductFile

FIRST_WITH_MANIFEST = datetime(2017, 10, 1, tzinfo=timezone.utc)
"""Since then calibration products are stored apart from images (DOMAIN section 2)."""

RESTORABLE = "restorable"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an MOUS can be restored; `code` is stable for machines, `sentence` is for people."""

    restorable: bool
    code: str
    sentence: str


def judge(calibration: Calibration) -> Verdict:
    """Decide whether an MOUS can be restored.

    The first reason that applies is given. They are tried in one order, causes before their consequences: a delivery
    without a passed execution block, for instance, holds no manifest either.

    1. `no_science_products`: the calibration is not complete.
    2. `manual_calibration`: people calibrated it, the pipeline cannot repeat that.
    3. `single_dish`: total-power data.
    4. `no_pass_eb`: no execution block passed QA0.
    5. `before_2017_10`: calibrated before October 2017.
    6. `no_manifest`, 7. `no_caltables`: files are missing that a restore reads.

    Source: DOMAIN section 2.
    """
    for code, reason in _REASONS.items():
        sentence = reason(calibration)
        if sentence:
            return Verdict(False, code, sentence)
    number = len(calibration.passed)
    blocks = "1 execution block" if number == 1 else f"{number} execution blocks"
    return Verdict(True, RESTORABLE, f"The pipeline calibrated it and its products are in the archive ({blocks}).")


def is_manual_script(file: ProductFile) -> bool:
    """True for the scripts of a calibration by hand: scriptForCalibration, scriptForFluxCalibration, ...

    The archive's own test is `NGAS_FILE_ID LIKE '%scriptFor%Cal%'`, case-sensitive as in Oracle.
    """
    return file.file_class == "script" and re.search("scriptFor.*Cal", file.file_id) is not None


def is_manifest(file: ProductFile) -> bool:
    return file.file_class in _RESTORE_CLASSES and file.file_id.endswith("pipeline_manifest.xml")


def is_caltables(file: ProductFile) -> bool:
    return file.file_class in _RESTORE_CLASSES and file.file_id.endswith(".caltables.tgz")


_RESTORE_CLASSES = ("calibration", "script")

_SINGLE_DISH_RECIPE = re.compile(r"(^|\.)hsd_\w+\.")

_TOTAL_POWER_ARRAY = re.compile(r"TP|TOTAL.?POWER", re.IGNORECASE)


def _no_science_products(calibration: Calibration) -> str:
    if any(file.file_class == "science" for file in calibration.files):
        return ""
    return "Its calibration is not complete: the archive holds no science products (images) of it yet."


def _manual(calibration: Calibration) -> str:
    script = next(filter(is_manual_script, calibration.files), None)
    return f"It was calibrated by hand, not by the pipeline: its products hold {script.file_id}." if script else ""


def _single_dish(calibration: Calibration) -> str:
    file = next((file for file in calibration.files if _SINGLE_DISH_RECIPE.search(file.file_id)), None)
    if file:
        return f"It is a single-dish observation (total power): its products hold {file.file_id}."
    arrays = calibration.requested_arrays
    if arrays and all(_TOTAL_POWER_ARRAY.match(array) for array in arrays):
        return f"It is a single-dish observation (total power): its array is {', '.join(arrays)}."
    return ""


def _no_pass_eb(calibration: Calibration) -> str:
    blocks = calibration.execution_blocks
    if calibration.passed:
        return ""
    if not blocks:
        return "The archive lists no execution block of it."
    verdicts = ", ".join(f"{count} {qa0}" for qa0, count in sorted(Counter(eb.qa0 for eb in blocks).items()))
    return f"None of its execution blocks passed QA0 ({verdicts})."


def _before_2017_10(calibration: Calibration) -> str:
    at = calibration.calibrated_at
    if at is None or at >= FIRST_WITH_MANIFEST:
        return ""
    return f"It was calibrated on {at:%Y-%m-%d}; calibration products are stored only since October 2017."


def _no_manifest(calibration: Calibration) -> str:
    if any(map(is_manifest, calibration.files)):
        return ""
    return "Its products hold no pipeline manifest (pipeline_manifest.xml), so the calibration cannot be repeated."


def _no_caltables(calibration: Calibration) -> str:
    if any(map(is_caltables, calibration.files)):
        return ""
    return "Its products hold no calibration tables (*.caltables.tgz), so there is nothing to apply."


_REASONS: dict[str, Callable[[Calibration], str]] = {
    "no_science_products": _no_science_products,
    "manual_calibration": _manual,
    "single_dish": _single_dish,
    "no_pass_eb": _no_pass_eb,
    "before_2017_10": _before_2017_10,
    "no_manifest": _no_manifest,
    "no_caltables": _no_caltables,
}
