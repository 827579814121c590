"""Reads XML that comes from outside: no entities, no network, no DTD, no trees of unlimited depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from alma_restore.errors import Corrupt

_GUARD = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "attribute_defaults": False,
    "huge_tree": False,
}


def parse(source: Path | bytes, name: str = "") -> etree._Element:
    """The root element of a document that fits in memory.

    A DOCTYPE that only points at an external DTD is tolerated, and the DTD never loaded (NGAS sends one, DOMAIN
    section 5); one that declares entities is refused.

    Args:
        source: a file, or the document itself.
        name: what messages call it; the file's name when left out.

    Raises:
        Corrupt: not well-formed, declares entities, not there, or too deep.
    """
    called = name or _name(source)
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        root = etree.fromstring(content, etree.XMLParser(**_GUARD))
    except (etree.XMLSyntaxError, ValueError, OSError) as error:
        raise _unreadable(called, error) from error
    _refuse_entities(root, called)
    return root


def iterate(path: Path, tag: str, within: str = "") -> Iterator[etree._Element]:
    """Every `<tag>` of a document that may not fit in memory, each forgotten once the caller asks for the next.

    Args:
        within: the root element's name, to be sure of reading the right document; empty: any.

    Raises:
        Corrupt: as `parse`, or another root element.
    """
    root: etree._Element | None = None
    try:
        with path.open("rb") as stream:
            for event, element in etree.iterparse(stream, events=("start", "end"), **_GUARD):
                if root is None:
                    root = element
                    _refuse_entities(root, path.name)
                    _expect_root(root, within, path.name)
                if event == "end" and element.getparent() is root:
                    if element.tag == tag:
                        yield element
                    _forget(element)
    except (etree.XMLSyntaxError, OSError) as error:
        raise _unreadable(path.name, error) from error


def _forget(element: etree._Element) -> None:
    element.clear()
    while element.getprevious() is not None:
        parent = element.getparent()
        if parent is None:
            return
        del parent[0]


def _refuse_entities(root: etree._Element, name: str) -> None:
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise Corrupt(
            f"{name} declares XML entities, which no ALMA document does.",
            remedy="Do not trust where it came from; ask the archive for the original.",
        )


def _expect_root(root: etree._Element, within: str, name: str) -> None:
    if within and root.tag != within:
        raise Corrupt(f"{name} holds <{root.tag}> where <{within}> belongs.", remedy="Fetch it again.")


def _unreadable(name: str, error: Exception) -> Corrupt:
    return Corrupt(f"{name} is not readable XML: {error}.", remedy="Fetch it again.")


def _name(source: Path | bytes) -> str:
    return source.name if isinstance(source, Path) else "The reply"
