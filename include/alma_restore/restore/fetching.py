"""Fetching: the raw execution blocks and the calibration products, verified as they arrive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alma_restore import log_fields
from alma_restore.archive.asdm_structure import AsdmFacts, check_asdm
from alma_restore.archive.records import ProductFile
from alma_restore.errors import NotAvailable
from alma_restore.restore.house import House, mous_of
from alma_restore.restore.opening import PRODUCT_CLASSES
from alma_restore.uid import Uid

# Files of other classes that a delivered set holds where the archive has them (DOMAIN section 13); their class is a
# guess, so they are known by name.
_WANTED_BY_NAME = (".weblog.tgz", ".casa_commands.log")


def fetch_asdm(
    house: House, request_id: str, eb_uid: Uid, progress: Callable[[int, int], None] | None = None
) -> AsdmFacts:
    """Export one raw execution block into rawdata/ and check its structure.

    Raises:
        NotAvailable: the exporter did not deliver it; trying later can help.
        Corrupt: what it delivered is damaged.
    """
    workspace = house.workspace(request_id)
    log = workspace.logs / f"asdmExportLight-{eb_uid.sanitised}.log"
    folder = house.archive.exporter.export(eb_uid, workspace.rawdata, log, progress)
    return check_asdm(folder)


def fetch_products(house: House, request_id: str, progress: Callable[[int], None] | None = None) -> list[Path]:
    """Fetch every calibration product and script of the MOUS into products/, side by side, each one verified.

    Raises:
        NotAvailable: the archive names none, or NGAS does not deliver.
        Corrupt: a file is not what the archive says it is.
    """
    workspace = house.workspace(request_id)
    mous_uid = mous_of(house.catalogue.get(request_id))
    wanted = wanted_products(house.archive.metadata.product_files(mous_uid))
    if not wanted:
        raise NotAvailable(f"The archive names no calibration products for {mous_uid}.")
    with ThreadPoolExecutor(max_workers=house.settings.ngas.streams_per_node) as pool:
        fetch = log_fields.in_thread(lambda file: house.archive.ngas.fetch(file, workspace.products, progress))
        return list(pool.map(fetch, wanted))


def wanted_products(files: tuple[ProductFile, ...]) -> list[ProductFile]:
    """The product files that a restore and its delivery need, each once, though the archive list it twice."""
    wanted = [f for f in files if f.file_class in PRODUCT_CLASSES or f.file_id.endswith(_WANTED_BY_NAME)]
    return list({file.file_id: file for file in wanted}.values())
