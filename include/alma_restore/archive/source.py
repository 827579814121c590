"""An archive as the rest of the house sees it: what it knows, and how one execution block or product is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alma_restore.archive.asdm import AsdmExporter
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.ngas import NgasClient
from alma_restore.uid import Uid


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive: metadata database, NGAS, exporter of raw data.

    Attributes:
        asdm_folder: the folder of ready ASDMs where there is one (an embedded archive), for sizes before the export.
    """

    metadata: Metadata
    ngas: NgasClient
    exporter: AsdmExporter
    asdm_folder: Path | None = None

    def raw_bytes(self, eb_uid: Uid) -> int | None:
        """Size of one raw execution block; None where the archive cannot tell before the export."""
        if self.asdm_folder is None:
            return None
        folder = self.asdm_folder / eb_uid.sanitised
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
