"""The mail about a request that has ended before it got a run: no task of Airflow's is there to send it."""

from __future__ import annotations

from typing import cast

from alma_restore.archive.source import Archive
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.restore import telling
from alma_restore.restore.house import House
from alma_restore.settings import settings


def tell_end(catalogue: Catalogue, record: RequestRecord) -> None:
    """Mail everybody who waits for a request how it ended, through the connection `alma_smtp` of the environment.

    Where that cannot be done, the request's history says why.
    """
    from alma_restore.orchestration.open_house import open_sftp, send_mail  # imports Airflow, and is seldom needed

    without_archive = cast(Archive, None)  # a mail needs none, and this program need not reach it
    telling.tell_end(House(settings(), catalogue, without_archive, send_mail, open_sftp), record)
