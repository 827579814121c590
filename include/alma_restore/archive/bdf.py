"""Binary data files (BDF) of an ASDM: is one whole, and how many integrations does it hold?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from lxml import etree

from alma_restore import guarded_xml
from alma_restore.errors import Corrupt

LONGEST_NUMBER = 30
"""Characters; Python itself refuses to read numbers of thousands of digits."""

_LINE_BYTES = 64 * 1024
_XML_BYTES = 4 * 1024 * 1024
_HEADER_LINES = 12
_VALUE_BYTES = {"actualDurations": 8, "actualTimes": 8, "autoData": 4, "flags": 4, "zeroLags": 4}
_CROSS_VALUE_BYTES = {"INT16_TYPE": 2, "INT32_TYPE": 4, "FLOAT32_TYPE": 4}
_WORDS = {
    "correlationMode": ("CROSS_ONLY", "AUTO_ONLY", "CROSS_AND_AUTO"),
    "processorType": ("CORRELATOR", "RADIOMETER", "SPECTROMETER"),
    "spectralResolution": ("FULL_RESOLUTION", "CHANNEL_AVERAGE", "BASEBAND_WIDE"),
}
_NEEDED = frozenset({"autoData", "crossData"})
_BOUNDARY = re.compile(rb'boundary\s*=\s*(?:"([^"\n]+)"|([^\s;]+))', re.IGNORECASE)
_FIELD = re.compile(rb"[A-Za-z-]+\s*:|\s")
_PART = re.compile(rb"([A-Za-z]+)\.bin[ \t]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Bdf:
    """What a whole BDF says of itself.

    Attributes:
        uid: its own uid (dataOID).
        antennas: how many antennas it has data of.
        subsets: its data subsets, one an integration; total-power data put all integrations into one.
        times: how many integrations each subset of total-power data holds; None for a correlator's.
    """

    uid: str
    antennas: int
    subsets: int
    times: int | None

    def holds(self, integrations: int) -> bool:
        """Are these as many integrations as Main.xml promises? For total-power data it may count the subsets."""
        return integrations in (self.subsets, self.subsets * (self.times or 1))


def read(path: Path) -> Bdf:
    """Read a BDF to its end, stepping over the numbers: their places and sizes follow from the headers.

    Damage to the structure, a missing part, an early end and bytes after the end are all found; a changed number is
    not (checksums are for that).

    Raises:
        Corrupt: with the BDF's name, what is wrong, and at which byte.

    Source: the format as CASA's own reader takes it, from `MIME-Version` to the closing boundary.
    """
    with path.open("rb") as stream:
        try:
            data = mmap(stream.fileno(), 0, access=ACCESS_READ)
        except ValueError:
            raise damaged(path.name, "is empty") from None
        with data:
            return _Reader(data, path.name).read()


def damaged(name: str, how: str) -> Corrupt:
    return Corrupt(
        f"BDF {name} {how}.",
        remedy="Export the execution block again; if it stays so, its copy in the archive is damaged.",
    )


class _Reader:
    """Walks from header to header."""

    def __init__(self, data: mmap, name: str) -> None:
        self._data = data
        self._name = name
        self._at = 0

    def read(self) -> Bdf:
        if not self._line().endswith(
            b"IME-Version: 1.0"
        ):  # archived BDFs with a wrong first byte exist; CASA takes them
            raise self._damaged("does not begin as a BDF")
        outer = self._boundary(self._header())
        self._next(outer)
        self._header()
        header = self._xml(outer, "sdmDataHeader")
        self._check_words(header)
        sizes = {
            guarded_xml.local_name(part): self._number(part.get("size"))
            for part in header.iterfind("{*}dataStruct/*[@size]")
        }
        subsets = 0
        while self._next(outer):
            self._subset(sizes)
            subsets += 1
        if len(self._data) > self._at + _LINE_BYTES or self._data[self._at :].strip():
            raise self._damaged("goes on after its end")
        times = header.findtext("{*}numTime")
        return Bdf(
            uid=_link(header.find("{*}dataOID")),
            antennas=self._number(header.findtext("{*}numAntenna")),
            subsets=subsets,
            times=None if times is None else self._number(times),
        )

    def _check_words(self, header: etree._Element) -> None:
        if header.get("byteOrder") not in ("Little_Endian", "Big_Endian"):
            raise self._damaged("has numbers of unknown byte order")
        for element in header.iterfind("*"):
            allowed = _WORDS.get(guarded_xml.local_name(element))
            if allowed and (element.text or "").strip() not in allowed:
                raise self._damaged(f"has a {guarded_xml.local_name(element)} {element.text!r}")

    def _subset(self, sizes: dict[str, int]) -> None:
        """One data subset: a header that names its binary parts, then those parts."""
        inner = self._inner_boundary()
        self._header()
        header = self._xml(inner, "sdmDataSubsetHeader")
        announced = {guarded_xml.local_name(part) for part in header.iterfind("*")}
        missing = {name for name in _NEEDED & announced if sizes.get(name)}
        while self._next(inner):
            named = _PART.search(self._header())
            name = named.group(1).decode() if named else ""
            if not sizes.get(name):
                raise self._damaged("holds a part that its header does not announce")
            missing.discard(name)
            self._skip(sizes[name] * self._value_bytes(name, header))
        if missing:
            raise self._damaged(f"lacks {' and '.join(sorted(missing))}")

    def _value_bytes(self, part: str, header: etree._Element) -> int:
        if part in _VALUE_BYTES:
            return _VALUE_BYTES[part]
        cross = header.find("{*}crossData")
        kind = "" if cross is None else cross.get("type", "")
        if part != "crossData" or kind not in _CROSS_VALUE_BYTES:
            raise self._damaged(f"holds {part} of unknown type {kind!r}")
        return _CROSS_VALUE_BYTES[kind]

    def _inner_boundary(self) -> bytes:
        """What separates the parts of the subset that begins here: its header ends with the first of them."""
        lines = b""
        for _ in range(_HEADER_LINES):
            line = self._line()
            if line.startswith(b"--"):
                inner = self._boundary(lines)
                if line == b"--" + inner:
                    return inner
                break
            lines += line + b"\n"
        raise self._damaged("has a subset without a beginning")

    def _boundary(self, header: bytes) -> bytes:
        found = _BOUNDARY.search(header)
        if not found:
            raise self._damaged("has a header without a boundary")
        return found.group(1) or found.group(2)

    def _next(self, boundary: bytes) -> bool:
        """Step over a boundary; False when it closes the whole."""
        line = self._line()
        if line not in (b"--" + boundary, b"--" + boundary + b"--"):
            raise self._damaged("lacks a boundary")
        return line == b"--" + boundary

    def _header(self) -> bytes:
        """Lines up to an empty one."""
        lines = b""
        for _ in range(_HEADER_LINES):
            line = self._line()
            if not line:
                return lines
            if not _FIELD.match(line):
                break
            lines += line + b"\n"
        raise self._damaged("has a header without an end")

    def _xml(self, boundary: bytes, root: str) -> etree._Element:
        """The XML up to the next boundary."""
        end = self._data.find(b"--" + boundary, self._at, self._at + _XML_BYTES)
        if end < 0:
            raise self._damaged("has a header without an end")
        content = self._data[self._at : end]
        element = guarded_xml.parse(content, f"BDF {self._name}, at byte {self._at},")
        if guarded_xml.local_name(element) != root:
            raise self._damaged(f"lacks <{root}>")
        self._at = end
        return element

    def _line(self) -> bytes:
        end = self._data.find(b"\n", self._at, self._at + _LINE_BYTES)
        if end < 0:
            end = len(self._data)
        if self._at == end == len(self._data) or end - self._at > _LINE_BYTES:
            raise self._damaged("ends too early")
        line = self._data[self._at : end]
        self._at = end + 1
        return line.rstrip(b" \r")

    def _skip(self, count: int) -> None:
        """Step over the numbers of a part and the line end behind them."""
        self._at += count
        if self._data[self._at : self._at + 1] != b"\n":
            raise self._damaged("ends too early" if self._at >= len(self._data) else "has a part of another size")
        self._at += 1

    def _number(self, text: str | None) -> int:
        if text is None or not text.strip().isdecimal() or len(text) > LONGEST_NUMBER:
            raise self._damaged(f"has {text and text[:80]!r} where a number belongs")
        return int(text)

    def _damaged(self, how: str) -> Corrupt:
        return damaged(self._name, f"{how}, at byte {self._at} of {len(self._data)}")


def _link(element: etree._Element | None) -> str:
    """The target of an xlink, whatever prefix it is written with."""
    attributes = [] if element is None else element.attrib.items()
    return next((str(value) for name, value in attributes if str(name).endswith("href")), "")
