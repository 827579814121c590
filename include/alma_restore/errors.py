"""The ways a restore can end badly. Retries, mails and pages go by class."""

from __future__ import annotations

from typing import ClassVar

_LONGEST = 2000
"""Characters of a sentence: what a file quotes of itself can be of any length."""


class RestoreError(Exception):
    """Something that ends a stage, told in one sentence: what, which, and what to do.

    Args:
        sentence: what happened, and to which uid or file.
        remedy: what the reader can do about it.
        log_tail: the last lines of the log that shows it, if there is one.
    """

    kind: ClassVar[str] = "failed"
    retryable: ClassVar[bool] = False

    def __init__(self, sentence: str, *, remedy: str = "", log_tail: str = "") -> None:
        self.sentence = _one_line(sentence)
        self.remedy = _one_line(remedy)
        self.log_tail = log_tail
        super().__init__(self.sentence)

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


class Refused(RestoreError):
    """The request cannot or may not be carried out; nothing is broken.

    Args:
        code: the reason in a word, stable for machines (`manual_calibration`, `bad_uid`, ...).
    """

    kind = "refused"

    def __init__(self, sentence: str, *, code: str, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.code = code


class NotAvailable(RestoreError):
    """A peer or a resource does not answer now; trying later can help."""

    kind = "not_available"
    retryable = True


class Corrupt(RestoreError):
    """Data that are not what the archive says they are."""

    kind = "corrupt"


class Inconsistent(RestoreError):
    """Two records of the archive contradict each other."""

    kind = "inconsistent"


class CasaFailed(RestoreError):
    """CASA ended without the calibrated data."""

    kind = "casa_failed"


class DeliveryFailed(RestoreError):
    """The calibrated data exist and could not be handed over."""

    kind = "delivery_failed"
    retryable = True


class Misconfigured(RestoreError):
    """This installation lacks something; an operator has to mend it."""

    kind = "misconfigured"


def _one_line(text: str) -> str:
    """Sentences quote what comes from outside: it begins no line of a log or a mail, and colours no terminal."""
    told = " ".join(text[: 2 * _LONGEST].split())
    told = "".join(char if char.isprintable() else repr(char)[1:-1] for char in told)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]} ..."
