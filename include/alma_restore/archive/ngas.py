"""Files out of NGAS, verified: right in size and checksum, or not there at all."""

from __future__ import annotations

import base64
import logging
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from alma_restore import guarded_xml
from alma_restore.archive import crc, ngas_http
from alma_restore.archive.disk import writing
from alma_restore.archive.ngas_http import Address, Reply, Timeouts
from alma_restore.archive.part_file import PartFile, measure
from alma_restore.archive.records import ProductFile
from alma_restore.archive.slots import slot
from alma_restore.archive.tries import tries
from alma_restore.errors import Corrupt, Inconsistent, Misconfigured, NotAvailable, RestoreError
from alma_restore.settings import NgasSettings

log = logging.getLogger(__name__)
Progress = Callable[[int], None]
T = TypeVar("T")

_BUFFER_BYTES = 256 * 1024
_LONGEST_WAIT_S = 60.0
_NAME_BYTES = 250
_UNKNOWN_FILE = re.compile(r"NGAMS_\w+:4019:")
"""As NGAS begins its message; the number alone can be part of a port or of a file id, which the reply also names."""


@dataclass(frozen=True)
class NgasNode:
    """One NGAS server, and who we are to it."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> Address:
        return Address(self.host.lower(), self.port)

    @property
    def authorization(self) -> dict[str, str]:
        """Sent at once: NGAS answers 401 without a challenge."""
        if not self.user:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(f'{self.user}:{self.password}'.encode()).decode()}"}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What NGAS's own database says of a file; `checksum` is None where it has none that is a number."""

    file_id: str
    size_bytes: int
    plugin: str
    checksum: int | None


class NgasClient:
    """Fetches product files from any of several NGAS nodes that hold the same archive."""

    def __init__(self, nodes: Sequence[NgasNode], settings: NgasSettings, lock_folder: Path) -> None:
        if not nodes:
            raise Misconfigured("No NGAS node is configured.", remedy="Name one in the NGAS connection.")
        self._nodes = tuple(nodes)
        self._authorization = {node.address: node.authorization for node in nodes}
        self._settings = settings
        self._timeouts = Timeouts(settings.connect_timeout_s, settings.read_timeout_s)
        self._lock_folder = lock_folder

    def fetch(self, file: ProductFile, into: Path, progress: Progress | None = None) -> Path:
        """Bring one file into a folder, under its file id as its name.

        A file that is there already is judged by its content. An interrupted transfer goes on where it stopped.

        Args:
            progress: called with the number of bytes of this file that are here, after every block.

        Returns:
            The file; its size and checksum are what NGAS's database says.

        Raises:
            NotAvailable: no node could send it now, or the disk is full.
            Corrupt: what arrives is not what NGAS's database says, twice, or from every node.
            Inconsistent: NGAS does not know the file, or with another size than the metadata database.
            Misconfigured: no access; or a checksum of unknown kind, and `verify_unknown` is off.

        Source: DOMAIN section 5.
        """
        final = into / _local_name(file.file_id)
        nodes = cycle(random.sample(self._nodes, len(self._nodes)))
        others = len(self._nodes) - 1
        again = {NotAvailable: self._settings.tries, Corrupt: max(others, 1), _UnknownFile: others}
        for attempt in tries(self._settings.tries, self._settings.retry_wait_s, _LONGEST_WAIT_S, again):
            with attempt:
                self._bring(next(nodes).address, file, final, progress or (lambda _: None))
        return final

    def _bring(self, node: Address, file: ProductFile, final: Path, progress: Progress) -> None:
        stored = self._ask(node, "STATUS", file.file_id, {}, lambda reply: _stored(reply, file))
        update = self._algorithm(stored)
        with writing(final.name, final.parent):
            if _is_right(final, stored, update):
                return
            final.parent.mkdir(parents=True, exist_ok=True)
            with PartFile.beside(final, update) as part:
                self._complete(node, stored, part, progress)
                if update and part.crc != stored.checksum:
                    got = part.crc
                    part.restart()
                    raise _damaged(stored, f"arrived with checksum {got:#010x}, NGAS says {stored.checksum:#010x}")
                part.publish()

    def _complete(self, node: Address, stored: StoredFile, part: PartFile, progress: Progress) -> None:
        """Fetch what the part file lacks."""
        if part.size > stored.size_bytes:
            part.restart()
        if part.size < stored.size_bytes:
            headers = {"Range": f"bytes={part.size}-"} if part.size else {}
            self._ask(node, "RETRIEVE", stored.file_id, headers, lambda reply: _receive(reply, stored, part, progress))

    def _ask(self, node: Address, command: str, file_id: str, headers: dict[str, str], use: Callable[[Reply], T]) -> T:
        """Ask a node, or whichever one it sends us to; only configured nodes learn who we are."""
        for _ in range(self._settings.max_hops + 1):
            allowed = {**headers, **self._authorization.get(node, {})}
            with (
                slot(self._lock_folder, f"ngas_{node}", self._settings.streams_per_node),
                ngas_http.get(node, command, file_id, allowed, self._timeouts) as reply,
            ):
                if reply.status == 200:
                    return use(reply)
                if reply.status != 303:
                    raise _refusal(reply)
                target = reply.redirect
            if target is None:
                raise NotAvailable(f"NGAS {node} redirects {file_id} to nowhere.")
            node = target
        raise NotAvailable(f"NGAS sends {file_id} from node to node, more than {self._settings.max_hops} times.")

    def _algorithm(self, stored: StoredFile) -> crc.Update | None:
        update = crc.algorithm(stored.plugin)
        if update and stored.checksum is not None:
            return update
        if not self._settings.verify_unknown:
            raise Misconfigured(
                f"{stored.file_id} cannot be verified: its checksum is of kind {stored.plugin!r}.",
                remedy="Ask who runs NGAS, or set ngas.verify_unknown to accept such files by their size.",
            )
        log.warning("%s is verified by size alone: its checksum is of kind %r.", stored.file_id, stored.plugin)
        return None


class _UnknownFile(Inconsistent):
    """This node knows no such file; another may."""


def _local_name(file_id: str) -> str:
    """The name on our disk: the file id, never what a server proposes."""
    name = file_id.strip()
    if not name or name in (".", "..") or "/" in name or not name.isprintable() or len(name.encode()) > _NAME_BYTES:
        raise Corrupt(
            f"{file_id!r} cannot be the name of a file.", remedy="Ask the archive about this product's NGAS_FILE_ID."
        )
    return name


def _stored(reply: Reply, file: ProductFile) -> StoredFile:
    """What a STATUS reply says; of several versions, the newest."""
    called = f"NGAS {reply.sender}'s STATUS of {file.file_id}"
    entries = guarded_xml.parse(reply.message(), called).iter("FileStatus")
    mine = [entry.attrib for entry in entries if entry.get("FileId", "").strip() == file.file_id]
    if not mine:
        raise _unknown(reply)
    try:
        newest = max(mine, key=lambda entry: int(entry.get("FileVersion", "1")))
        size_bytes = int(newest.get("FileSize", ""))
    except ValueError as error:
        raise Corrupt(f"{called} makes no sense: {error}.", remedy="Ask who runs NGAS.") from error
    if file.size_bytes is not None and file.size_bytes != size_bytes:
        raise Inconsistent(
            f"{file.file_id} has {file.size_bytes} bytes in the metadata database and {size_bytes} in NGAS.",
            remedy="Ask the archive which one is right.",
        )
    checksum = crc.read(newest.get("Checksum", ""))
    return StoredFile(file.file_id, size_bytes, newest.get("ChecksumPlugIn", "").strip(), checksum)


def _is_right(final: Path, stored: StoredFile, update: crc.Update | None) -> bool:
    if not final.is_file() or final.is_symlink() or final.stat().st_size != stored.size_bytes:
        return False
    with final.open("rb", buffering=0) as stream:
        return not update or measure(stream, update)[1] == stored.checksum


def _receive(reply: Reply, stored: StoredFile, part: PartFile, progress: Progress) -> None:
    if part.size and reply.first_byte != part.size:
        part.restart()
    missing = stored.size_bytes - part.size
    if reply.length is not None and reply.length != missing:
        raise _damaged(stored, f"would arrive with {reply.length} bytes, NGAS {reply.sender} says {missing}")
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    while missing and (count := reply.read_into(buffer[: min(len(buffer), missing)])):
        part.append(buffer[:count])
        missing -= count
        progress(part.size)
    if missing:
        raise NotAvailable(f"NGAS {reply.sender} stopped {missing} bytes before the end of {stored.file_id}.")


def _damaged(stored: StoredFile, how: str) -> Corrupt:
    return Corrupt(
        f"{stored.file_id} {how}.",
        remedy="The copy in NGAS is damaged: ask the archive to mend it, then ask for the restore again.",
    )


def _refusal(reply: Reply) -> RestoreError:
    """What a reply other than 200 means."""
    if reply.status in (401, 403):
        return Misconfigured(
            f"NGAS {reply.sender} refuses access to {reply.file_id} ({reply.status}).",
            remedy="Mend user and password of the NGAS connection.",
        )
    message = reply.message().decode(errors="replace")
    if _UNKNOWN_FILE.search(message):
        return _unknown(reply)
    return NotAvailable(
        f"NGAS {reply.sender} does not send {reply.file_id} ({reply.status}).", remedy="Try again later."
    )


def _unknown(reply: Reply) -> _UnknownFile:
    return _UnknownFile(
        f"NGAS {reply.sender} knows no file {reply.file_id}, which the metadata database lists.",
        remedy="Ask the archive for this product.",
    )
