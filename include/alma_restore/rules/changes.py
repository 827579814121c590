"""What the archive shows and the ledger does not know yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from alma_restore.archive.records import Calibration
from alma_restore.rules.eligibility import judge

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("mous_uid", "change", "fingerprint", "calibrated_at", "restorable", "code", "sentence", "passed_ebs")


def changes(seen: Iterable[Calibration], known: Mapping[str, str]) -> pd.DataFrame:
    """One row for each MOUS that is new or was delivered anew, with the verdict on it, in the order seen.

    Args:
        seen: what a window or a sweep of the archive shows; an MOUS seen twice counts as it was seen last.
        known: the fingerprint under which the ledger knows each MOUS, by its uid.

    Returns:
        Columns `COLUMNS`; `change` is `new` (the ledger has no such MOUS) or `changed` (other products or verdicts).

    Source: DOMAIN section 2, last paragraph.
    """
    import pandas as pd

    latest = {calibration.mous_uid: calibration for calibration in seen}
    rows = []
    for uid, calibration in latest.items():
        if known.get(uid) == calibration.fingerprint:
            continue
        verdict = judge(calibration)
        change = "changed" if uid in known else "new"
        facts = (uid, change, calibration.fingerprint, calibration.calibrated_at)
        rows.append((*facts, verdict.restorable, verdict.code, verdict.sentence, len(calibration.passed)))
    return pd.DataFrame(rows, columns=list(COLUMNS))
