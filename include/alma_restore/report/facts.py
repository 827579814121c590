"""The facts of one restore, as restore.json holds them and the report shows them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from alma_restore import split
from alma_restore.archive.asdm_structure import AsdmFacts
from alma_restore.casa import attempts
from alma_restore.casa.installation import Installation
from alma_restore.casa.verification import VerificationReport
from alma_restore.catalogue.records import RequestRecord
from alma_restore.ppr import read as ppr
from alma_restore.products import manifest as manifests
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

_CHUNK_BYTES = 1 << 20


def gather(
    workspace: Workspace,
    record: RequestRecord,
    installation: Installation,
    looked: Installation,
    raw_data: Mapping[Uid, AsdmFacts],
    product_names: Iterable[str],
    verified: VerificationReport,
) -> dict[str, Any]:
    """What was restored, from what, by what, and what it looks like.

    Args:
        looked: whose Python has verified.
        product_names: of the fetched calibration products, in products/.

    Returns:
        JSON-able. `execution_blocks` holds the figures of include/casa_side/verify_ms.py; checksums are CRC-32, as NGAS
        keeps them, in hexadecimal. `split` is None where nothing was split off.
    """
    manifest = manifests.in_folder(workspace.products)
    asked = record.asked.split
    return {
        "request_id": record.id,
        "mous_uid": record.mous_uid,
        "project_code": ppr.read(workspace.ppr).structure.project_code,
        "request": record.request,
        "calibrated_with": {
            "casa": manifest.casa_version,
            "pipeline": manifest.pipeline_version,
            "procedure": manifest.procedure,
        },
        "restored_with": {
            "casa": record.casa_version,
            "pipeline": installation.pipeline_version,
            "engine": installation.engine,
            "installation": record.casa_installation,
        },
        "verified_with": {"casa": looked.casa_version, "installation": looked.name},
        "peak_memory_bytes": _peak_memory_bytes(workspace),
        "casa_policy": record.casa_policy,
        "sessions": manifest.eb_uids_by_session(),
        "raw_data": {uid: {"name": uid.sanitised, "size_bytes": facts.size_bytes} for uid, facts in raw_data.items()},
        "products": [_file(workspace.products / name) for name in sorted(product_names) if _is_used(name, manifest)],
        "measurement_sets": {uid: _measurement_set(workspace, split.full_name(uid)) for uid in raw_data},
        "split": asked
        and {
            "what": asked.in_words,
            "whole_ones_delivered": asked.keep_full,
            "measurement_sets": {uid: _measurement_set(workspace, split.split_name(uid)) for uid in raw_data},
        },
        "execution_blocks": verified.as_json(),
        "warnings": list(verified.warnings),
    }


def _peak_memory_bytes(workspace: Workspace) -> int | None:
    """The most that one CASA run of this restore took; None: its launcher could not tell."""
    last = [attempts.latest(run) for run in workspace.runs]
    return max((run.peak_memory_bytes or 0 for run in last if run), default=0) or None


def _is_used(name: str, manifest: manifests.Manifest) -> bool:
    """Staging takes the manifests of other runs away."""
    return name == manifest.file_name or not Path(name).match(manifests.NAME_PATTERN)


def _file(path: Path) -> dict[str, Any]:
    crc = 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            crc = zlib.crc32(chunk, crc)
    return {"name": path.name, "size_bytes": path.stat().st_size, "crc32": f"{crc:08x}"}


def _measurement_set(workspace: Workspace, name: str) -> dict[str, Any]:
    size_bytes = sum(path.stat().st_size for path in (workspace.working / name).rglob("*") if path.is_file())
    return {"name": name, "size_bytes": size_bytes}
