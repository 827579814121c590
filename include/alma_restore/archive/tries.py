"""Another try, when the error is of a kind that another try can mend."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from alma_restore.errors import RestoreError

log = logging.getLogger(__name__)


def tries(most: int, first_wait_s: float, longest_wait_s: float, again: Mapping[type[RestoreError], int]) -> Retrying:
    """Attempts to loop over, with growing random waits between them.

    Args:
        most: attempts, whatever goes wrong.
        again: how often each class of error may be followed by another attempt; one that is not named ends it.

    Raises:
        RestoreError: the last attempt's error, from the loop.
    """
    seen: Counter[type[BaseException]] = Counter()

    def worth_it(error: BaseException) -> bool:
        seen[type(error)] += 1
        return any(type(error) is kind and seen[kind] <= times for kind, times in again.items())

    return Retrying(
        stop=stop_after_attempt(most),
        wait=wait_random_exponential(multiplier=first_wait_s, max=longest_wait_s),
        retry=retry_if_exception(worth_it),
        before_sleep=_tell,
        reraise=True,
    )


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s Trying again in %.1f s.", error, state.next_action.sleep if state.next_action else 0.0)
