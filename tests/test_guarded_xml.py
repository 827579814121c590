"""XML from outside: what is harmless is read, what is hostile is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_restore.errors import Corrupt
from alma_restore.guarded_xml import iterate, local_name, parse

NGAS_DOCTYPE = b'<?xml version="1.0"?><!DOCTYPE NgamsStatus SYSTEM "http://127.0.0.1:1/ngamsStatus.dtd">'

HOSTILE = {
    "billion laughs": b'<!DOCTYPE t [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><t><row>&b;</row></t>',
    "an entity nobody uses": b'<!DOCTYPE t [<!ENTITY a "ha">]><t><row/></t>',
    "a file from here": b'<!DOCTYPE t [<!ENTITY a SYSTEM "file:///etc/passwd">]><t><row>&a;</row></t>',
    "in an attribute": b'<!DOCTYPE t [<!ENTITY a "ha">]><t><row x="&a;"/></t>',
    "a parameter entity": b'<!DOCTYPE t [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x.dtd"> %a;]><t><row/></t>',
    "without a row": b'<!DOCTYPE t [<!ENTITY a "ha">]><t/>',
    "too deep": b"<t>" + b"<row>" * 10_000 + b"</row>" * 10_000 + b"</t>",
    "cut": b"<t><row></row>",
    "nothing": b"",
    "no XML": b"\x00\xff\xfe rubbish",
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_or_broken_document_is_refused_by_name(document: bytes, tmp_path: Path) -> None:
    path = tmp_path / "Main.xml"
    path.write_bytes(document)
    for read in (lambda: parse(path), lambda: parse(document, "Main.xml"), lambda: list(iterate(path, "row", "t"))):
        with pytest.raises(Corrupt, match=r"Main\.xml"):
            read()


def test_a_document_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match=r"Main\.xml"):
        parse(tmp_path / "Main.xml")
    with pytest.raises(Corrupt, match=r"Main\.xml"):
        list(iterate(tmp_path / "Main.xml", "row", "t"))


def test_a_doctype_that_only_points_elsewhere_is_tolerated_and_not_loaded() -> None:
    assert parse(NGAS_DOCTYPE + b"<NgamsStatus/>").tag == "NgamsStatus"


def test_another_root_is_not_the_document_asked_for(tmp_path: Path) -> None:
    (tmp_path / "Main.xml").write_text("<ScanTable><row/></ScanTable>")
    with pytest.raises(Corrupt, match="<ScanTable> where <MainTable> belongs"):
        list(iterate(tmp_path / "Main.xml", "row", "MainTable"))


def test_rows_are_found_in_any_namespace_and_only_right_below_the_root(tmp_path: Path) -> None:
    path = tmp_path / "t.xml"
    path.write_text('<t xmlns="urn:x"><head><row>0</row></head><row>1</row><!-- a --><row>2</row><other/></t>')
    assert [(local_name(row), row.text) for row in iterate(path, "row", "t")] == [("row", "1"), ("row", "2")]


def test_a_large_document_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "Pointing.xml"
    row = "<row><encoder>" + "2 1 2 0.1 1.0 " * 20 + "</encoder></row>\n"
    with path.open("w") as stream:
        stream.write("<PointingTable>")
        stream.writelines(row for _ in range(100_000))
        stream.write("</PointingTable>")
    before = _resident_bytes()
    assert sum(1 for _ in iterate(path, "row", "PointingTable")) == 100_000
    assert _resident_bytes() - before < 10_000_000 < path.stat().st_size


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
