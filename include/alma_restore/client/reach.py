"""Which catalogue can be read from here."""

from __future__ import annotations

from urllib.parse import urlsplit

from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import NotAvailable
from alma_restore.settings import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def reachable_catalogue(here: Settings) -> Catalogue | None:
    """The catalogue, where it can be read from here; nothing is made.

    The SQLite file of this machine counts only when Airflow is on this machine as well: it would be another one's.
    """
    if not here.catalogue_url:
        is_here = urlsplit(here.airflow_url).hostname in _LOOPBACK
        if not is_here or not (here.home / "catalogue.db").is_file():
            return None
    catalogue = Catalogue(here.catalogue)
    try:
        catalogue.last_change()
    except NotAvailable:
        return None
    return catalogue
