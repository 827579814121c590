"""What is made of a job's states over time. The launcher here only repeats what it is told to say."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alma_restore.casa.launchers.base import Handle, Job, JobState
from alma_restore.casa.watching import Watch
from alma_restore.errors import CasaFailed, NotAvailable
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

WAITING, RUNNING, UNKNOWN = (
    JobState("waiting", note="queued"),
    JobState("running"),
    JobState("unknown", note="no answer"),
)


class Parrot:
    """A launcher that says of every job what it was told last."""

    name, detached, poll_s = "parrot", True, 0.0

    def __init__(self) -> None:
        self.says, self.cancelled, self.reachable = RUNNING, 0, True

    def submit(self, job: Job) -> Handle:
        raise NotImplementedError

    def find(self, handle: Handle) -> Handle | None:
        return None

    def poll(self, handle: Handle) -> JobState:
        return self.says

    def cancel(self, handle: Handle) -> None:
        self.cancelled += 1
        if not self.reachable:
            raise NotAvailable("Nobody answers.")


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    return folder / "log"


@pytest.fixture
def watch(parrot: Parrot, told: list[str], log: Path, tmp_path: Path) -> Callable[..., Watch]:
    def make(**limits: float) -> Watch:
        casa = CasaSettings(**{"no_progress_s": 60, "time_limit_s": 60, "patience_s": 60, **limits})
        workspace = Workspace(tmp_path / "spool").create({})
        return Watch(parrot, Handle("parrot", "1", str(log.parent)), workspace, casa, told.append)

    return make


def test_a_job_may_wait_in_its_queue_as_long_as_the_queue_likes(parrot: Parrot, watch: Callable[..., Watch]) -> None:
    looking = watch(no_progress_s=0.02, time_limit_s=0.02)
    parrot.says = WAITING
    for _ in range(5):
        time.sleep(0.01)
        assert looking.look() == WAITING
    parrot.says = RUNNING
    assert looking.look() == RUNNING


@pytest.mark.parametrize("limit", ["no_progress_s", "time_limit_s"])
@pytest.mark.parametrize("reachable", [True, False])
def test_a_job_beyond_its_limits_is_stopped_and_told(
    parrot: Parrot, watch: Callable[..., Watch], limit: str, reachable: bool
) -> None:
    looking = watch(**{limit: 0.01})
    parrot.reachable = reachable
    looking.look()
    time.sleep(0.02)
    with pytest.raises(CasaFailed, match="was stopped"):
        looking.look()
    assert parrot.cancelled == 1


def test_a_requeued_job_begins_its_time_anew(parrot: Parrot, watch: Callable[..., Watch]) -> None:
    looking = watch(time_limit_s=0.05)
    looking.look()
    time.sleep(0.06)
    parrot.says = WAITING
    looking.look()
    parrot.says = RUNNING
    assert looking.look() == RUNNING


def test_an_unknown_job_counts_as_lost_when_the_patience_ends(parrot: Parrot, watch: Callable[..., Watch]) -> None:
    looking = watch(patience_s=0.03)
    parrot.says = UNKNOWN
    assert looking.look() == UNKNOWN
    time.sleep(0.04)
    assert looking.look() == JobState("ended", note="no answer; that was so for 0 s")
    assert parrot.cancelled == 0


def test_every_answer_renews_the_patience(parrot: Parrot, watch: Callable[..., Watch]) -> None:
    looking = watch(patience_s=0.03)
    for says in (UNKNOWN, RUNNING, UNKNOWN):
        parrot.says = says
        assert looking.look() == says
        time.sleep(0.04)


def test_a_file_of_the_future_does_not_hide_what_is_written_now(watch: Callable[..., Watch], tmp_path: Path) -> None:
    """As the clock leaves it that is set back while CASA runs."""
    working = tmp_path / "spool" / "working"
    working.mkdir(parents=True)
    (working / "early").touch()
    in_five_hours = time.time() + 5 * 3600
    os.utime(working / "early", (in_five_hours, in_five_hours))
    looking = watch(no_progress_s=0.4)
    for _ in range(5):
        time.sleep(0.15)
        (working / "late").touch()
        assert looking.look() == RUNNING


@pytest.mark.parametrize("reason", [errno.ENOENT, errno.ESTALE], ids=os.strerror)
def test_a_folder_that_casa_deletes_while_we_look_disturbs_nothing(
    watch: Callable[..., Watch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def list_folder(path: str | Path) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "TempTab":
            looked.append(path)
            raise OSError(reason, os.strerror(reason), path)
        return scandir(path)

    looked: list[str | Path] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", list_folder)
    (tmp_path / "spool" / "working" / "TempTab").mkdir(parents=True)
    looking = watch(no_progress_s=0.4)
    time.sleep(0.11)
    assert looking.look() == RUNNING
    assert len(looked) == 2


def test_what_the_launcher_says_is_told_when_it_changes(
    parrot: Parrot, watch: Callable[..., Watch], told: list[str]
) -> None:
    looking = watch()
    for says in (WAITING, WAITING, UNKNOWN, JobState("running", note="on node1")):
        parrot.says = says
        looking.look()
    assert told == ["queued", "no answer", "on node1"]


def test_the_log_of_a_job_that_was_started_again_is_read_from_its_beginning(
    watch: Callable[..., Watch], told: list[str], log: Path
) -> None:
    log.write_text("first start\nsecond line\n")
    looking = watch()
    looking.look()
    log.write_text("second start\n")
    looking.look()
    assert told == ["first start", "second line", "second start"]
