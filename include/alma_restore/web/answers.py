"""The archive's answers for pages: asked aside, remembered for a while, and never waited for longer than a page can."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from alma_restore.errors import NotAvailable

T = TypeVar("T")


class SlowArchive(NotAvailable):
    """The archive has not answered in the time that a page waits; the answer is remembered when it comes."""


@dataclass(frozen=True, slots=True)
class _Asked:
    answer: Future[Any]
    at: float


class Answers:
    """Asks in a few threads of its own, so that a slow archive holds up nobody else's pages.

    The same question asked again within `keep_s` gets the same answer, also while that is still being waited for.

    Args:
        limit_s: how long a page waits.
        keep_s: how long an answer is remembered.
        threads: questions asked at once.
        waiting: unanswered questions after which no more are taken.
        remembered: answers remembered at once.
    """

    def __init__(
        self,
        limit_s: float = 2.0,
        keep_s: float = 30.0,
        threads: int = 4,
        waiting: int = 32,
        remembered: int = 1000,
    ) -> None:
        self._limit_s, self._keep_s = limit_s, keep_s
        self._waiting, self._remembered = waiting, remembered
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="archive")
        self._asked: dict[Hashable, _Asked] = {}

    async def ask(self, key: Hashable, question: Callable[[], T]) -> T:
        """The answer to a question, or the one remembered under this key.

        Raises:
            SlowArchive: it did not come in time.
            RestoreError: what the question raises; that is not remembered.
        """
        self._forget()
        known = self._asked.get(key)
        if known is None:
            if sum(not asked.answer.done() for asked in self._asked.values()) >= self._waiting:
                raise self._slow()
            known = self._asked[key] = _Asked(self._threads.submit(question), time.monotonic())
        coming: asyncio.Future[T] = asyncio.wrap_future(known.answer)
        coming.add_done_callback(lambda done: done.cancelled() or done.exception())  # looked at, though nobody waits
        await asyncio.wait([coming], timeout=self._limit_s)
        if not coming.done():
            raise self._slow()
        return coming.result()

    def _forget(self) -> None:
        """Drop what is old, what went wrong, and the oldest of too many; what is still being asked stays."""
        now = time.monotonic()
        ended = [(key, asked) for key, asked in self._asked.items() if asked.answer.done()]
        too_many = len(ended) - self._remembered
        for number, (key, asked) in enumerate(ended):
            old = now - asked.at > self._keep_s or number < too_many
            if old or asked.answer.exception() is not None:
                del self._asked[key]

    def _slow(self) -> SlowArchive:
        return SlowArchive(
            f"The archive has not answered within {self._limit_s:g} s.",
            remedy="It goes on searching; look again in a moment.",
        )
