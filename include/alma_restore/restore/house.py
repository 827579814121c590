"""What every stage of a restore works with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from alma_restore.archive.source import Archive
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.store import Catalogue
from alma_restore.delivery.sftp import SftpClient
from alma_restore.errors import Inconsistent
from alma_restore.settings import Settings
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace

PAGES_AT = "/mous"
"""Where Airflow's api-server shows the archive page."""


@dataclass(frozen=True, slots=True)
class House:
    """The settings, our catalogue, the archive, and the ways to send mail and to reach an SFTP site by its name.

    Attributes:
        pages: URL of the archive page, for links in mails; empty: nobody knows it.
    """

    settings: Settings
    catalogue: Catalogue
    archive: Archive
    send_mail: Callable[[EmailMessage], None]
    open_sftp: Callable[[str], AbstractContextManager[SftpClient]]
    pages: str = ""

    def page_of(self, request_id: str) -> str:
        """The page of a request; empty where nobody knows it."""
        return f"{self.pages}/requests/{request_id}" if self.pages else ""

    def workspace(self, request_id: str) -> Workspace:
        """The workspace of an opened request.

        Raises:
            Inconsistent: none has been prepared.
        """
        record = self.catalogue.get(request_id)
        if not record.workspace:
            raise Inconsistent(
                f"Request {request_id} has no workspace yet.", remedy="Run it again from its first stage."
            )
        workspace = Workspace(Path(record.workspace))
        if not workspace.metadata_file.exists():
            raise Inconsistent(
                f"The workspace {workspace.root} has been cleaned up.", remedy="Clear the run from its first task."
            )
        return workspace

    def report_used(self, request_id: str) -> None:
        """Say how much of the reserved disk this request has filled by now, so that it is not counted twice."""
        self.catalogue.report_used(request_id, self.bytes_used(request_id))

    def bytes_used(self, request_id: str) -> int:
        """How much of the disk a request has filled by now."""
        files = (
            path for path in self.workspace(request_id).root.rglob("*") if path.is_file() and not path.is_symlink()
        )
        return sum(path.stat().st_size for path in files)


def mous_of(record: RequestRecord) -> Uid:
    """The MOUS of a request that has been looked up."""
    if record.mous_uid is None:
        raise Inconsistent(f"Request {record.id} names no MOUS yet.", remedy="Run it again from its first stage.")
    return record.mous_uid
