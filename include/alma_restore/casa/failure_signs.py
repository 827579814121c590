"""How CASA tells that a restore failed: the lines to look for, and what each means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from alma_restore.errors import CasaFailed, Corrupt, Inconsistent, Misconfigured, Refused, RestoreError

_FETCH_AGAIN = "Fetch it again; if it stays so, ask the archive to restore it from its copy."
_ASK_ARCHIVE = "Ask the archive which of the two is right."
_OUR_FAULT = "This is a fault of this software: report it with the PPR."


@dataclass(frozen=True, slots=True)
class FailureSign:
    """A line in the log of the ALMA pipeline, and the error it stands for.

    Attributes:
        pattern: its first group stands as `{0}` in the sentence.
        decisive: a failure even where CASA ends with exit code 0; else it only explains a failure.
    """

    pattern: re.Pattern[str]
    error: Callable[..., RestoreError]
    sentence: str
    remedy: str
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What a line says went wrong.

    Attributes:
        rank: how telling it is; 0 is the most telling.
    """

    rank: int
    error: RestoreError
    decisive: bool


def _sign(
    pattern: str, error: Callable[..., RestoreError], sentence: str, remedy: str, *, decisive: bool = False
) -> FailureSign:
    return FailureSign(re.compile(pattern), error, sentence, remedy, decisive)


# Most telling first: a restore that fails leaves several of these lines. Source: DOMAIN sections 9 and 12, and the text
# of the exceptions that the pipeline lets through.
PIPELINE_SIGNS = (
    _sign(  # h/tasks/restoredata/restoredata.py logs it and goes on, from tag 2021.2.0.128 to 2026.0.0.0
        r"(Failed application of renormalization for (?!.*'apply': 'False')\S+|Failure in running renormalization .*)",
        CasaFailed,
        "The renormalisation of these data could not be repeated: {0}.",
        "Their amplitudes would be wrong. Ask for the CASA version that calibrated them.",
        decisive=True,
    ),
    _sign(
        r"No such file or directory: '.*/([^/']+\.(?:caltables|flagversions)\.tgz|[^/']+\.calapply\.txt)'",
        Corrupt,
        "The calibration product {0} is not where the pipeline looks for it.",
        _FETCH_AGAIN,
    ),
    _sign(
        r"((?:EOFError: Compressed file ended|(?:tarfile\.)?ReadError: |zlib\.error: |BadGzipFile: ).*)",
        Corrupt,
        "A calibration product is damaged: {0}.",
        _FETCH_AGAIN,
    ),
    _sign(
        r"KeyError: 'default'",
        Inconsistent,
        "A session of the PPR is not in the pipeline manifest.",
        _ASK_ARCHIVE,
    ),
    _sign(
        r"KeyError: '(uid___A[\w]+?)\.ms'",
        Inconsistent,
        "{0} is not in the pipeline manifest: it was not calibrated.",
        _ASK_ARCHIVE,
    ),
    _sign(
        r"'NoneType' object has no attribute 'get_ous'",
        Corrupt,
        "The pipeline found no manifest in rawdata/ or products/.",
        _FETCH_AGAIN,
    ),
    _sign(
        r"(?<![\w.-])([\w.-]+\.tbl)\b.*(?:does not exist|not found|No such file)",
        Corrupt,
        "The calibration table {0} is missing or incomplete.",
        _FETCH_AGAIN,
    ),
    _sign(
        r"Table conformance error \(#rows mismatch\)",
        Corrupt,
        "An execution block has other rows than its archived flags: its raw data are damaged.",
        "The log names it: 'flags failed for'. Fetch its raw data again.",
    ),
    _sign(
        r"(?:Restore of flag version|Application of final flags) failed for (\S+)",
        Corrupt,
        "The archived flags of {0} cannot be restored.",
        _FETCH_AGAIN,
    ),
    _sign(
        r"No such file or directory: '(.*/working)/errorexit-",
        Misconfigured,
        "The PPR's RelativePath is wrong: the pipeline finds no {0}.",
        _OUR_FAULT,
    ),
    _sign(
        r"ModuleNotFoundError: No module named '([\w.]+)'",
        Misconfigured,
        "This CASA cannot run the pipeline: the Python module {0} is not installed.",
        "Install it for this CASA, or choose another one (docs/casa.md).",
    ),
    _sign(
        r"Error processing (uid___A\w+?)(?:\.ms)?\b",
        Corrupt,
        "The pipeline left out {0}: its raw data are absent or damaged.",
        "Fetch the raw data of this execution block again.",
        decisive=True,
    ),
    _sign(
        r"Task mstransform raised an exception .*: ((?:Field|Spw) Expression: No match.*|MSSelectionNullSelection.*)",
        partial(Refused, code="bad_request"),
        "There are no such data to be split off: {0}.",
        "Ask for another field, intent or spectral window, or for the restore without a split.",
    ),
    _sign(
        r"TypeError: .*got an unexpected keyword argument '(\w+)'",
        Misconfigured,
        "This pipeline does not know the PPR's parameter {0}.",
        "Choose another CASA version, or restore without these options.",
    ),
    _sign(
        r"Unhandled error in executeppr while running pipeline task (\w+)",
        CasaFailed,
        "The pipeline task {0} failed.",
        "See the end of the log.",
        decisive=True,
    ),
    _sign(r"Empty ASDM list", CasaFailed, "The PPR lists no execution block.", _OUR_FAULT, decisive=True),
    _sign(r"Empty commands list", CasaFailed, "The PPR lists no command.", _OUR_FAULT, decisive=True),
    _sign(r"Undefined relative data path", CasaFailed, "The PPR has no RelativePath.", _OUR_FAULT, decisive=True),
    _sign(r"ExpatError: (.*)", CasaFailed, "The PPR is not well-formed: {0}.", _OUR_FAULT),
)

_WORDS = (
    "rror",  # EOFError, zlib.error, Error processing, Unhandled error, ...
    "BadGzipFile",
    "No such file",
    "does not exist",
    "not found",
    "failed for",
    "get_ous",
    "mstransform raised an exception",
    "Empty ",
    "Undefined relative",
    "renormalization ",
)
"""Each line with a sign has one of them. That is seen at once: a log can have gigabytes of others."""

# The one line our own engine ends with (include/casa_side/signs.py).
_OWN_WORD = "FAILED "
_OWN_SIGN = re.compile(rf"^{_OWN_WORD}(\w+) \S+: (.*)$")
_OWN_KINDS: dict[str, type[RestoreError]] = {
    "corrupt": Corrupt,
    "inconsistent": Inconsistent,
    "misconfigured": Misconfigured,
    "casa_failed": CasaFailed,
}

_NOISE = ("dUTC", "TAI_UTC", "Until the table is updated", "times and coordinates derived from UTC")


def read_line(line: str) -> Told | None:
    """What one line of a log says went wrong; None: nothing."""
    if line.startswith(_OWN_WORD) and (own := _OWN_SIGN.match(line)):
        return Told(0, _own_error(*own.groups()), decisive=True)
    if not _has_any(_WORDS, line):
        return None
    for rank, sign in enumerate(PIPELINE_SIGNS, start=1):
        if match := sign.pattern.search(line):
            return Told(rank, sign.error(sign.sentence.format(*match.groups()), remedy=sign.remedy), sign.decisive)
    return None


def is_noise(line: str) -> bool:
    """Blank, or one of the lines that CASA prints at priority SEVERE whenever its leap seconds are old."""
    return not line.strip() or _has_any(_NOISE, line)


def _has_any(words: Iterable[str], line: str) -> bool:
    return any(map(line.__contains__, words))


def _own_error(kind: str, sentence: str) -> RestoreError:
    if kind == "refused":
        return Refused(sentence, code="engine_cannot")
    return _OWN_KINDS.get(kind, CasaFailed)(sentence)
