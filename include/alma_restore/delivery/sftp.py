"""Delivery over SFTP: sent under a hidden name, resumed after a cut, read back, then renamed."""

from __future__ import annotations

import hashlib
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import PurePosixPath
from typing import Any, Protocol

from paramiko.ssh_exception import AuthenticationException, BadHostKeyException, SSHException

from alma_restore.delivery import sources
from alma_restore.delivery.checksums import SUMS, side_by_side, sums_text
from alma_restore.delivery.destination import SftpDestination
from alma_restore.delivery.folder import Delivered
from alma_restore.delivery.sources import Source
from alma_restore.errors import DeliveryFailed, Misconfigured

_CHUNK = 1 << 18
_AHEAD = 1 << 26
"""Bytes that are asked for before they come. paramiko takes 4 MB of memory for each GB asked for (measured)."""
_LINK_ERRORS = (OSError, EOFError, SSHException)


class SftpClient(Protocol):
    """What is needed of `paramiko.SFTPClient`, which Airflow's `SFTPHook.get_managed_conn` hands out."""

    def stat(self, path: str) -> Any: ...
    def open(self, filename: str, mode: str) -> Any: ...
    def mkdir(self, path: str) -> None: ...
    def listdir_attr(self, path: str) -> list[Any]: ...
    def rename(self, oldpath: str, newpath: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...


Connect = Callable[[], AbstractContextManager[SftpClient]]


def deliver(
    files: Mapping[str, Source],
    to: SftpDestination,
    name: str,
    connect: Connect,
    *,
    tries: int = 5,
    wait_s: float = 2.0,
) -> Delivered:
    """Make the folder `name` at the far end hold these files and their SHA256SUMS; what does so already is left alone.

    Every file is read back from the far end before the folder gets its name. A lost link is taken up again where it
    broke, in this call or the next.

    Args:
        files: the sources by their name in the delivery.
        connect: opens a connection, and closes it at its end.
        tries: connections in a row that may break without having brought anything further.
        wait_s: before the second try; later waits grow.

    Raises:
        DeliveryFailed: the far end refuses, is full, or cannot be reached; nothing is there under the final name.
        Misconfigured: its host key has changed, or our log-in is not taken.
    """
    sums = dict(zip(files, side_by_side(lambda each: sources.sha256(files[each]), files), strict=True))
    site = _Site(PurePosixPath(to.root), name, files, sums)
    failures = 0
    while True:
        before = dict(site.arrived)
        try:
            with _telling_of_locks(to), connect() as client:
                site.deliver(client)
            break
        except PermissionError as error:
            raise _failed(to, error, "Give us the right to write there, then retry.") from error
        except _LINK_ERRORS as error:
            failures = failures + 1 if site.arrived == before else 1
            if failures >= tries:
                raise _failed(to, error, "Look at the far end (is its disk full?), then retry.") from error
            time.sleep(wait_s * 2 ** (failures - 1))
    text = sums_text(sums)
    size_bytes = sum(map(sources.size_bytes, files.values())) + len(text)
    return Delivered(f"{to}/{name}", size_bytes, len(files) + 1, hashlib.sha256(text.encode()).hexdigest())


class _Site:
    """One delivery at the far end, over as many connections as it takes.

    Far sites are why nothing is asked twice here: on another continent each question costs a tenth of a second.

    Attributes:
        arrived: how much of each file is known to have reached the far end.
        _folders: those that are known to be there, and whether we made them, so that nothing of an earlier call is in.
    """

    def __init__(self, root: PurePosixPath, name: str, files: Mapping[str, Source], sums: Mapping[str, str]) -> None:
        self._final, self._part, self._old = root / name, root / f".{name}.part", root / f".{name}.old"
        self._files, self._sums = files, sums
        self._verified: set[str] = set()
        self._folders: dict[PurePosixPath, bool] = {}
        self.arrived: dict[str, int] = {}

    def deliver(self, client: SftpClient) -> None:
        if not self._holds(client):
            for name in sorted(self._files):
                if name not in self._verified:
                    self._send(client, name)
            self._check_complete(client)
            with client.open(str(self._part / SUMS), "wb") as sums:
                sums.write(sums_text(self._sums).encode())
            if _stat(client, self._final):
                _remove(client, self._old)
                client.stat(str(self._part))  # else what is there by now is another process's, and whole
                client.rename(str(self._final), str(self._old))
            client.rename(str(self._part), str(self._final))
        _remove(client, self._old)

    def _holds(self, client: SftpClient) -> bool:
        """Whether the delivery is there already, whole."""
        if not _stat(client, self._final / SUMS):
            return False
        with client.open(str(self._final / SUMS), "rb") as sums:
            if sums.read() != sums_text(self._sums).encode():
                return False
        for name in self._files:
            there = _stat(client, self._final / name)
            if there is None or not self._reads_back(client, self._final / name, name, there.st_size):
                return False
        return True

    def _send(self, client: SftpClient, name: str) -> None:
        """Send what is missing of a file; if what was there already is wrong, send it all."""
        target = self._part / name
        self._make_folder(client, target.parent)
        self._append(client, name)
        if not self._reads_back(client, target, name, self.arrived[name]):
            client.remove(str(target))
            self._append(client, name)
            if not self._reads_back(client, target, name, self.arrived[name]):
                raise DeliveryFailed(
                    f"{name} reads back from {target} otherwise than it was sent.",
                    remedy="Have the far end's disk looked at, then retry.",
                )
        self._verified.add(name)

    def _append(self, client: SftpClient, name: str) -> None:
        source, target = self._files[name], self._part / name
        is_new = self._folders.get(target.parent, False) and name not in self.arrived
        there = None if is_new else _stat(client, target)
        self.arrived[name] = there.st_size if there else 0
        # Neither cut nor appended to: should another process have delivered this very file meanwhile, what we still
        # write falls on the same bytes.
        with client.open(str(target), "r+b" if there else "wxb") as writing:
            writing.set_pipelined(True)  # no waiting for each answer; what was refused shows in the size
            writing.seek(self.arrived[name])
            for chunk in sources.read(source, self.arrived[name]):
                writing.write(chunk)
        self.arrived[name] = client.stat(str(target)).st_size
        if self.arrived[name] < (whole := sources.size_bytes(source)):
            raise OSError(f"it took {self.arrived[name]} of the {whole} bytes of {name}")

    def _check_complete(self, client: SftpClient) -> None:
        """Remove what an earlier attempt with other contents left; what is missing, another process has taken away."""
        wanted = {self._part / name: name for name in self._files}
        there = [*_below(client, self._part)] if _stat(client, self._part) else []
        for path, is_folder in there:
            if not is_folder and wanted.pop(path, None) is None:
                client.remove(str(path))
        if wanted:
            self._verified -= {*wanted.values()}
            self._folders.clear()
            raise OSError(f"{len(wanted)} files that we sent are no longer there")

    def _reads_back(self, client: SftpClient, path: PurePosixPath, name: str, there_bytes: int) -> bool:
        if there_bytes != sources.size_bytes(self._files[name]):
            return False
        digest = hashlib.sha256()
        with client.open(str(path), "rb") as file:
            for at in range(0, there_bytes, _CHUNK):
                if at % _AHEAD == 0:
                    file.prefetch(min(at + _AHEAD, there_bytes))
                digest.update(file.read(min(_CHUNK, there_bytes - at)))  # what lies beyond is not asked for
        return digest.hexdigest() == self._sums[name]

    def _make_folder(self, client: SftpClient, folder: PurePosixPath) -> None:
        if folder in self._folders:
            return
        is_new = not _stat(client, folder)
        if is_new:
            self._make_folder(client, folder.parent)
            try:
                client.mkdir(str(folder))
            except OSError:  # somebody made it at the same moment; if nobody did, writing below it tells
                return
        self._folders[folder] = is_new


def _stat(client: SftpClient, path: PurePosixPath) -> Any:
    """The attributes of what is there, or None."""
    try:
        return client.stat(str(path))
    except FileNotFoundError:
        return None


def _below(client: SftpClient, folder: PurePosixPath) -> Iterator[tuple[PurePosixPath, bool]]:
    """Everything below a folder, the folder itself last, and whether it is a folder; links are not followed."""
    for entry in client.listdir_attr(str(folder)):
        path = folder / entry.filename
        if stat.S_ISDIR(entry.st_mode):
            yield from _below(client, path)
        else:
            yield path, False
    yield folder, True


def _remove(client: SftpClient, folder: PurePosixPath) -> None:
    if _stat(client, folder):
        for path, is_folder in _below(client, folder):
            (client.rmdir if is_folder else client.remove)(str(path))


@contextmanager
def _telling_of_locks(to: SftpDestination) -> Iterator[None]:
    """What only an operator can mend is not tried again."""
    try:
        yield
    except BadHostKeyException as error:
        raise Misconfigured(
            f"The host key of {to} is not the one we know; nothing was sent.",
            remedy="Ask its owner whether it was changed, then mend the connection's host key.",
        ) from error
    except AuthenticationException as error:
        raise Misconfigured(f"{to} does not take our log-in: {error}.", remedy="Mend the connection.") from error


def _failed(to: SftpDestination, error: BaseException, remedy: str) -> DeliveryFailed:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DeliveryFailed(
        f"{to} cannot be delivered to: {reason}.", remedy=f"{remedy} What has arrived is kept there for the next try."
    )
