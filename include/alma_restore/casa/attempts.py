"""The attempts at one restore's CASA run: a folder each below Logs/, and a note of the one that counts."""

from __future__ import annotations

import errno
import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from alma_restore.casa.launchers.base import Handle
from alma_restore.workspace import Workspace, write_json

_CANNOT_BE_WRITTEN = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One CASA run of a workspace.

    Attributes:
        number: counts from 1.
        key: tells what is run; another PPR, another CASA or other data have another key. Empty: it has been rejected.
        handle: the job; its `job_id` is empty until the launcher has started it.
        claim: counts the tasks that have taken this run for their own.
    """

    number: int
    key: str
    handle: Handle
    claim: int = 0

    @property
    def log(self) -> Path:
        return Path(self.handle.folder) / "log"

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has told it to stop; it may not have heard yet."""
        return Path(self.handle.folder, "cancelled").exists()

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most memory that the run took; None: its launcher could not tell."""
        try:
            return int(Path(self.handle.folder, "peak_memory_bytes").read_text())
        except (FileNotFoundError, ValueError):
            return None


def latest(workspace: Workspace) -> Attempt | None:
    """The attempt that counts, if there has been one."""
    try:
        noted = json.loads(_note(workspace).read_text())
    except FileNotFoundError:
        return None
    return Attempt(noted["number"], noted["key"], Handle(**noted["handle"]), noted["claim"])


def note(workspace: Workspace, attempt: Attempt) -> None:
    write_json(_note(workspace), asdict(attempt))


def claim(workspace: Workspace) -> int:
    """Take the run for one's own: who claimed it earlier may not stop it any more (`job.cancel`)."""
    with alone(workspace):
        known = latest(workspace)
        if known is None:
            return 0
        note(workspace, replace(known, claim=known.claim + 1))
        return known.claim + 1


def reject(workspace: Workspace) -> None:
    """What came of the latest attempt is not good, however well it ended: the next start is one of its own."""
    with alone(workspace):
        if known := latest(workspace):
            note(workspace, replace(known, key=""))


def folder(workspace: Workspace, number: int) -> Path:
    return workspace.logs / f"attempt-{number}"


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Wait until no other task looks for, or starts, a run in this workspace.

    On a disk that cannot be written nothing begins any more, and what runs there has to be stopped all the same: the
    lock is taken as far as that disk has it.
    """
    lock = workspace.logs / "job.lock"
    with ExitStack() as held:
        try:
            opened = held.enter_context(lock.open("w"))
        except OSError as error:
            if error.errno not in _CANNOT_BE_WRITTEN:
                raise
            if lock.exists():
                with suppress(OSError):  # a network file system locks only what is open for writing
                    fcntl.flock(held.enter_context(lock.open()), fcntl.LOCK_EX)
        else:
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def _note(workspace: Workspace) -> Path:
    return workspace.logs / "job.json"
