"""Which of an MOUS's product files are fetched."""

from __future__ import annotations

from alma_restore.archive.records import ProductFile
from alma_restore.restore.fetching import wanted_products


def test_a_product_that_the_archive_lists_twice_is_fetched_once() -> None:
    """Two fetches of one file at once would be in each other's way."""
    caltables = ProductFile("uid___A001_X1_X2.session_1.caltables.tgz", "calibration", 10)
    image = ProductFile("member.uid___A001_X1_X2.fits", "science", 10)
    assert wanted_products((caltables, image, caltables)) == [caltables]
