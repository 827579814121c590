"""What each task of a restore said last: Airflow tells no later task how an earlier one ended.

A word is an empty file below the workspace's Logs, `stage.part.attempt.word`: it is renamed for the next word, which a
full disk allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, cast

from alma_restore.catalogue.records import RequestRecord
from alma_restore.errors import RestoreError
from alma_restore.workspace import Workspace

Word = Literal["began", "failed", "waits", "ended", "stopped"]

_UNFINISHED: Mapping[Word, str] = MappingProxyType(
    {
        "began": "The task of the stage {stage} was killed, or its machine was lost.",
        "failed": "The stage {stage} failed and was to be tried again; no later try could store how it ended.",
        "waits": "The stage {stage} was waiting for its job, and Airflow ended the waiting.",
    }
)
"""What a word means that was the last one of a task whose request lost its run."""


@dataclass(frozen=True, slots=True)
class TaskWords:
    """The words of one task of one stage.

    Args:
        folder: where they lie; None before there is a workspace, when nothing is said.
        part: tells the tasks of the stage from each other.
    """

    folder: Path | None
    stage: str
    part: str
    attempt: int

    @classmethod
    def of(cls, record: RequestRecord, stage: str, part: object) -> TaskWords:
        return cls(_folder(record), stage, str(part), record.attempt)

    def begin(self) -> None:
        """The task has begun; what an earlier try said is taken back."""
        if self.folder:
            self.folder.mkdir(exist_ok=True)
            for earlier in self.folder.glob(f"{self.stage}.{self.part}.*"):
                earlier.unlink(missing_ok=True)
            (self.folder / self._name("began")).touch()

    def leave(self, word: Word) -> None:
        """Say how the task ended, unless that has been said."""
        if self.folder:
            with suppress(FileNotFoundError):  # said already; or the request was closed, and nothing of it is kept
                (self.folder / self._name("began")).rename(self.folder / self._name(word))

    def _name(self, word: Word) -> str:
        return f"{self.stage}.{self.part}.{self.attempt}.{word}"


def stage_that(record: RequestRecord, word: Word) -> str:
    """A stage whose task said this last in the request's present attempt; empty: none."""
    return next((stage for stage, last in _words(record) if last == word), "")


def lost(record: RequestRecord) -> RestoreError:
    """What befell a request whose run has ended without storing an end."""
    for word, sentence in _UNFINISHED.items():
        if stage := stage_that(record, word):
            return RestoreError(sentence.format(stage=stage), remedy="Clear the task to run it again.")
    if stage_that(record, "ended"):
        return RestoreError(
            f"All went well as far as {record.stage}; Airflow could not store that, or did not begin what follows.",
            remedy="Clear the task that failed to go on from there. The logs of Airflow's api-server and scheduler"
            " say what happened.",
        )
    return RestoreError(
        f"The task of the stage {record.stage or 'open_request'} ended without saying why.",
        remedy="It was killed, its machine was lost, Airflow could not store its end, or it never began."
        " Clear it to run it again.",
    )


def _words(record: RequestRecord) -> Iterator[tuple[str, Word]]:
    folder = _folder(record)
    for path in sorted(folder.glob("*")) if folder else ():
        stage, _, attempt, word = path.name.split(".")
        if attempt == str(record.attempt):
            yield stage, cast(Word, word)


def _folder(record: RequestRecord) -> Path | None:
    logs = Workspace(Path(record.workspace)).logs
    return logs / "tasks" if record.workspace and logs.is_dir() else None
