"""The catalogue: our own database of calibrations seen, requests, deliveries and reservations."""

from __future__ import annotations

from alma_restore.catalogue.audit import Audit
from alma_restore.catalogue.calibrations import Calibrations
from alma_restore.catalogue.changes import Changes
from alma_restore.catalogue.deliveries import Deliveries
from alma_restore.catalogue.figures import FiguresStore
from alma_restore.catalogue.followers import Followers
from alma_restore.catalogue.migrate import bring_up_to_date
from alma_restore.catalogue.requests import Requests
from alma_restore.catalogue.reservations import Reservations


class Catalogue(Audit, Calibrations, Changes, Deliveries, FiguresStore, Followers, Requests, Reservations):
    """Everything the catalogue can tell and store, on SQLite or PostgreSQL; one object serves threads and forks.

    All methods raise `NotAvailable` when the database does not answer.

    Args:
        url: SQLAlchemy URL of a database that `opened` has seen.
    """

    @classmethod
    def opened(cls, url: str) -> Catalogue:
        """The catalogue, its tables made or upgraded first.

        Raises:
            Misconfigured: the database cannot be opened.
        """
        catalogue = cls(url)
        bring_up_to_date(catalogue.engine)
        return catalogue
