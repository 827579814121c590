"""Reads XML that comes from outside: no entities, no network, no DTD, no documents of unlimited depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from alma_restore.errors import Corrupt

_GUARD: dict[str, Any] = {
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
        Corrupt: not there, not well-formed, too deep, or it declares entities.
    """
    called = name or (source.name if isinstance(source, Path) else "The document")
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        root = etree.fromstring(content, etree.XMLParser(**_GUARD))
    except (etree.XMLSyntaxError, OSError) as error:
        raise _unreadable(called, error) from error
    _refuse_entities(root, called)
    return root


def iterate(path: Path, tag: str, within: str) -> Iterator[etree._Element]:
    """Every `<tag>` right below the root, of a document that may not fit in memory.

    An element is forgotten once the caller asks for the next one. Namespaces do not count.

    Args:
        within: the root element's name, to be sure of reading the right document.

    Raises:
        Corrupt: as `parse`, or another root element.
    """
    try:
        with path.open("rb") as stream:
            found = etree.iterparse(stream, events=("end",), tag=f"{{*}}{tag}", **_GUARD)
            root: etree._Element | None = None
            for _, element in found:
                if root is None:
                    root = element.getroottree().getroot()
                    _expect(root, within, path.name)
                if element.getparent() is root:
                    yield element
                    _forget(element, root)
            if root is None:
                _expect(found.root, within, path.name)
    except (etree.XMLSyntaxError, OSError) as error:
        raise _unreadable(path.name, error) from error


def local_name(element: etree._Element) -> str:
    """The element's name without its namespace."""
    return str(etree.QName(element).localname)


def _forget(element: etree._Element, root: etree._Element) -> None:
    element.clear()
    while root[0] is not element:
        del root[0]


def _expect(root: etree._Element, name: str, document: str) -> None:
    _refuse_entities(root, document)
    if local_name(root) != name:
        raise Corrupt(f"{document} holds <{local_name(root)}> where <{name}> belongs.", remedy="Fetch it again.")


def _refuse_entities(root: etree._Element, document: str) -> None:
    declared: Any = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise Corrupt(
            f"{document} declares XML entities, which no document of ours needs.",
            remedy="Do not trust where it came from; ask the archive for the original.",
        )


def _unreadable(document: str, error: Exception) -> Corrupt:
    return Corrupt(f"{document} is not readable XML: {error}.", remedy="Fetch it again.")
