"""Makes damaged documents out of good ones, and says how a reader has to take them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from alma_restore.errors import RestoreError

T = TypeVar("T")

LONGEST_SENTENCE = 2100

examples = os.environ.get("FUZZ_EXAMPLES", "")
fuzz = settings(
    max_examples=int(examples or 60),
    derandomize=not examples,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
"""A few seconds for each reader, the same examples each time. FUZZ_EXAMPLES=100000 takes other ones, for hours."""

EVIL = [
    *(
        "",
        "\0",
        "\n",
        "\r\n",
        "\x1b[31m",
        "\u2028",
        "\ud7ff",
        "é",
        "٣",
        "²",
        '"',
        "'",
        "<",
        ">",
        "&",
        "]]>",
        "--",
        "=",
        ":",
    ),
    *("0", "-1", "1e999", "NaN", "9" * 30, "9" * 5000, "0x10", "1_000", "None", "True", "[]", "{}", "null"),
    *("../..", "/etc/passwd", "x" * 5000, "(" * 300, "[" * 5000, "-" * 3000, "{" * 3000, "<a>" * 300, "'a'*9**9"),
    *("<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;", "<?xml version='1.1'?>", "xmlns='y'", "\\u", "\\", "%s", "{0}"),
]


def damaged(good: bytes) -> st.SearchStrategy[bytes]:
    """The document with a few places cut out, doubled, changed, or filled with what readers stumble over."""
    place = st.integers(0, len(good))
    inserted = st.sampled_from(EVIL).map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=20)
    edit = st.tuples(place, st.integers(0, 40), inserted, st.booleans())

    def apply(edits: list[tuple[int, int, bytes, bool]]) -> bytes:
        content = good
        for at, length, filling, doubles in edits:
            taken = content[at : at + length]
            content = content[:at] + filling + (taken * 2 if doubles else b"") + content[at + length :]
        return content

    return st.lists(edit, min_size=1, max_size=6).map(apply)


def read_or_told(read: Callable[[], T]) -> T | None:
    """What a reader answers; None when it raised an error of ours, in lines that people can read to their end."""
    try:
        return read()
    except RestoreError as error:
        told = error
    assert told.sentence
    for text in (told.sentence, told.remedy):
        assert text.isprintable()
        assert len(text) <= LONGEST_SENTENCE
    return None
