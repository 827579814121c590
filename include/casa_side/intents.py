"""From the pipeline's words for what a scan was for to the words that stand in the MeasurementSet."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Pipeline word -> the ALMA scan intents it stands for, without their `#ON_SOURCE`. Source: the obs_mode table that the
# pipeline keeps for ALMA data; hifa_restoredata applies calibration to these eight and to no other.
APPLIED = {
    "AMPLITUDE": ("CALIBRATE_AMPLI", "CALIBRATE_FLUX"),
    "BANDPASS": ("CALIBRATE_BANDPASS",),
    "CHECK": ("OBSERVE_CHECK_SOURCE", "CALIBRATE_DELAY"),
    "PHASE": ("CALIBRATE_PHASE",),
    "POLANGLE": ("CALIBRATE_POL_ANGLE",),
    "POLARIZATION": ("CALIBRATE_POLARIZATION",),
    "POLLEAKAGE": ("CALIBRATE_POL_LEAKAGE",),
    "TARGET": ("OBSERVE_TARGET", "CALIBRATE_TARGET"),
}

# Those that are calibrated with what they look at, and whose source is known.
CALIBRATORS = APPLIED.keys() - {"TARGET", "CHECK"}

# Words that the pipeline knows and hifa_restoredata leaves alone.
NOT_APPLIED = {"ATMOSPHERE", "DIFFGAINREF", "DIFFGAINSRC", "FOCUS", "POINTING", "REFERENCE", "SIDEBAND", "WVR"}


def casa_intents(words: Iterable[str], obs_modes: Iterable[str]) -> str:
    """The CASA selection of what `words` mean in one MeasurementSet.

    Args:
        words: pipeline words; none of them: all that calibration is applied to.
        obs_modes: the STATE table's OBS_MODE column.

    Returns:
        Comma-separated intents, exactly as the MeasurementSet spells them; empty if it has none of them.
    """
    wanted = [stem for word in (list(words) or APPLIED) for stem in APPLIED.get(word, ())]
    pattern = re.compile(rf"(?:{'|'.join(wanted)})[#._]ON_SOURCE") if wanted else None
    present = {mode.strip() for modes in obs_modes for mode in modes.split(",")}
    return ",".join(sorted(mode for mode in present if pattern and pattern.fullmatch(mode)))
