"""The ways a restore can end badly. Retries, mails and pages go by class."""

from __future__ import annotations

from typing import ClassVar


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
        super().__init__(f"{sentence} {remedy}".strip())
        self.sentence = sentence
        self.remedy = remedy
        self.log_tail = log_tail


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
