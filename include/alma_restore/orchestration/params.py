"""The form of `restore_mous`: what a request can say, in Airflow's UI, by REST, or from another DAG.

Airflow refuses what does not match here and lets unknown keys pass; the first task validates everything again.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from alma_restore.split import SplitOptions

_UID_PATTERN = r"^\s*(uid(://|___)A[0-9A-Fa-f]{3}[/_]X[0-9A-Fa-f]+[/_]X[0-9A-Fa-f]+)?\s*$"

_SPLIT_SCHEMA = SplitOptions.model_json_schema()

_SPLIT_HELP = """\
`{}`: the whole MeasurementSets. `{"intent": "TARGET"}`: only the calibrated targets, in MeasurementSets of their own.
`{"spw": "17,19", "chanbin": 2, "timebin": "30s"}`: those of two spectral windows, averaged over two channels and 30
seconds. Also `field`: names of fields; `keep_full`: deliver the whole MeasurementSets too.
"""

# Airflow validates every parameter three times in every task, each time with its schema's own schema: that of this
# draft takes a third of the processor time of the newest one's.
_DRAFT: dict[str, Any] = {"$schema": "http://json-schema.org/draft-07/schema#"}

RESTORE_PARAMS = {
    "mous_uid": Param(
        "",
        **_DRAFT,
        type=["string", "null"],
        pattern=_UID_PATTERN,
        title="MOUS uid",
        description="The MOUS to restore, such as uid://A001/X12d1/X23e.",
    ),
    "eb_uid": Param(
        "",
        **_DRAFT,
        type=["string", "null"],
        pattern=_UID_PATTERN,
        title="or execution block uid",
        description="One of its execution blocks, such as uid://A002/Xd248b5/Xa7a; its whole MOUS is restored.",
    ),
    "casa_version": Param(
        "",
        **_DRAFT,
        type=["string", "null"],
        title="CASA version",
        description="Empty: the version that calibrated the data, or the nearest newer one that is installed.",
    ),
    "email": Param(
        "",
        **_DRAFT,
        type=["string", "null"],
        title="E-mail",
        description="Who is told how it ended; empty: nobody.",
    ),
    "destination": Param(
        "",
        **_DRAFT,
        type=["string", "null"],
        title="Destination",
        description="Folder or sftp:// URL for the calibrated data; empty: the default delivery folder.",
    ),
    "split": Param(
        {},
        **_DRAFT,
        type=["object", "null"],
        properties=_SPLIT_SCHEMA["properties"],
        additionalProperties=False,
        title="Split off the targets",
        description_md=_SPLIT_HELP,
    ),
    "tar": Param(
        False,
        **_DRAFT,
        type="boolean",
        title="Tar files",
        description="Deliver each MeasurementSet as one tar file instead of a folder.",
    ),
}
