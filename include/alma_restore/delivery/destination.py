"""Where a delivery may go: folders below the allowed roots, and SFTP sites."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from alma_restore.errors import Refused
from alma_restore.settings import Settings
from alma_restore.uid import Uid

_OF_THE_PLACE = (errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
"""What is wrong with a place itself; anything else can be its disk's, and the delivery tells it, and tries again."""


@dataclass(frozen=True, slots=True)
class FolderDestination:
    """A folder of this machine; the delivery's own folder is made in it."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)


@dataclass(frozen=True, slots=True)
class SftpDestination:
    """A folder at the far end of an SFTP connection of Airflow's; a relative one starts at the log-in folder."""

    conn_id: str
    root: PurePosixPath

    def __str__(self) -> str:
        return f"sftp://{self.conn_id}/{self.root}"


Destination = FolderDestination | SftpDestination


def check(text: str, settings: Settings) -> Destination:
    """The destination that a request names, if deliveries may go there.

    A folder must lie below one of the allowed roots once all symbolic links are followed; it need not exist. For
    `sftp://<connection>/<folder>` the same holds below `delivery.sftp_roots`; `sftp://<connection>//<folder>` is an
    absolute path at the far end.

    Args:
        text: a folder or a URL; empty: the default delivery root.

    Raises:
        Refused: (code `destination_not_allowed`) it lies elsewhere, or nobody can write there; the allowed roots are
            named.
    """
    if not text:
        return FolderDestination(settings.delivery_root)
    if "://" in text:
        return _sftp(text, settings)
    roots = [settings.delivery_root, *settings.delivery.allowed_roots]
    folder = Path(text)
    if not folder.is_absolute():
        raise _refusal(text, "is not an absolute path", roots)
    try:
        resolved = folder.resolve()
    except (RuntimeError, ValueError) as error:  # links in a circle (Python before 3.13); what is no path
        raise _refusal(text, f"cannot be looked at: {error}", roots) from error
    if not any(resolved.is_relative_to(root.resolve()) for root in roots):
        raise _refusal(text, "lies outside the folders that deliveries may go to", roots)
    try:
        if not stat.S_ISDIR(resolved.stat().st_mode):
            raise _refusal(text, "is not a folder", roots)
    except OSError as error:
        if error.errno in _OF_THE_PLACE:
            raise _refusal(text, f"cannot be looked at: {error.strerror}", roots) from error
    return FolderDestination(resolved)


def delivery_name(mous_uid: Uid, request_id: str) -> str:
    """The name of a delivery's own folder."""
    return f"{mous_uid.sanitised}__{request_id[:8]}"


def _sftp(text: str, settings: Settings) -> SftpDestination:
    roots = settings.delivery.sftp_roots
    wanted = _parse_sftp(text)
    if wanted is None or ".." in wanted.root.parts:
        raise _refusal(
            text, "is no destination of ours", [settings.delivery_root, *settings.delivery.allowed_roots, *roots]
        )
    for allowed in filter(None, map(_parse_sftp, roots)):
        if wanted.conn_id == allowed.conn_id and wanted.root.is_relative_to(allowed.root):
            return wanted
    raise _refusal(text, "lies outside the SFTP folders that deliveries may go to", roots)


def _parse_sftp(text: str) -> SftpDestination | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if parts.scheme != "sftp" or not parts.netloc or parts.query or parts.fragment:
        return None
    return SftpDestination(parts.netloc, PurePosixPath(unquote(parts.path.removeprefix("/")) or "."))


def _refusal(text: str, what: str, roots: Iterable[object]) -> Refused:
    allowed = ", ".join(map(str, roots)) or "none is set up"
    return Refused(
        f"The destination {text} {what}.",
        code="destination_not_allowed",
        remedy=f"Choose a folder below: {allowed}; or leave the destination empty for the default.",
    )
