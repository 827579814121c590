"""Checks a PPR before CASA sees it: the pipeline ends with exit code 0 on some of those that it cannot use."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from typing import cast

from lxml import etree

from alma_restore import guarded_xml
from alma_restore.errors import Inconsistent, Refused
from alma_restore.ppr.build import EB_SEPARATOR
from alma_restore.uid import Uid

_ASDM = "AsdmIdentifier"
_SESSION = re.compile(r"SESSION_([1-9][0-9]*)", re.ASCII)


def validate(content: bytes) -> etree._Element:
    """Make sure that a PPR is complete and does not contradict itself.

    Returns:
        Its root element.

    Raises:
        Corrupt: it is no XML.
        Inconsistent: it does not fit ppr.xsd, or its sessions and its execution blocks do not agree; everything that
            is wrong is named.

    Source: DOMAIN sections 4, 11 and 12.
    """
    root = guarded_xml.parse(content, "The PPR")
    schema = _schema()
    if not schema.validate(root):
        errors = cast("Iterable[etree._LogEntry]", schema.error_log)
        raise _wrong("; ".join(f"line {error.line}: {error.message.rstrip('.')}" for error in errors))
    if contradictions := "; ".join(_contradictions(root)):
        raise _wrong(contradictions)
    return root


def sessions(root: etree._Element) -> dict[int, tuple[Uid, ...]]:
    """The execution blocks of each session of a PPR that fits the schema, by its number.

    Raises:
        Inconsistent: a session lists something else than execution blocks.
    """
    found = {}
    for intent in root.iter("Intents"):
        match = _SESSION.fullmatch(intent.findtext("Keyword", ""))
        if match is not None:
            value = intent.findtext("Value", "")
            try:
                found[int(match[1])] = tuple(Uid(text) for text in value.split(EB_SEPARATOR)) if value else ()
            except Refused as refusal:
                raise _wrong(f"{match[0]} lists {value!r}: {refusal.sentence}") from refusal
    return found


def _contradictions(root: etree._Element) -> Iterator[str]:
    intents = {each.findtext("Keyword", ""): each.findtext("Value", "") for each in root.iter("Intents")}
    if intents.get("PROCESS") != "true":
        yield "the intent PROCESS is not true"
    by_number = sessions(root)
    if list(by_number) != list(range(1, len(by_number) + 1)) or not by_number:
        yield f"sessions are numbered {', '.join(map(str, by_number)) or 'nowhere'} instead of 1, 2, ... without a gap"
    in_sessions = [uid for uids in by_number.values() for uid in uids]
    disk_names = {each.findtext("AsdmRef/ExecBlockId"): each.findtext("AsdmDiskName") for each in root.iter(_ASDM)}
    for uid, disk_name in disk_names.items():
        if uid not in in_sessions:
            yield f"{uid} is in no session"
        if disk_name != Uid(str(uid)).sanitised:
            yield f"{uid} is said to lie in {disk_name}"
    for uid, times in Counter(in_sessions).items():
        if uid not in disk_names:
            yield f"{uid} is in a session and not in the data set"
        if times > 1:
            yield f"{uid} is in sessions {times} times"


def _wrong(what: str) -> Inconsistent:
    return Inconsistent(
        f"The PPR cannot be used: {what}.",
        remedy="One of the archive's values for this MOUS is not as it should be; mend it there.",
    )


@cache
def _schema() -> etree.XMLSchema:
    text = resources.files(__package__).joinpath("ppr.xsd").read_bytes()
    return etree.XMLSchema(etree.fromstring(text))
