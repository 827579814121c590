"""How many rows a MeasurementSet must have, according to the raw data's own tables."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from signs import RestoreFailed, corrupt


@dataclass(frozen=True)
class ExpectedRows:
    """The rows of one scan.

    Attributes:
        rows: how many there are; at least so many if not `exact`.
        exact: False for data sampled in sub-integrations, whose number only the binary files know.
        binaries: the BDFs that hold them.
    """

    rows: int
    exact: bool
    binaries: tuple[str, ...]

    def agrees(self, found: int) -> bool:
        return found == self.rows if self.exact else found >= self.rows


@dataclass(frozen=True)
class _Configuration:
    correlation_mode: str
    data_descriptions: int


def expected_rows(asdm: Path) -> dict[int, ExpectedRows]:
    """Count the MeasurementSet rows of each scan: integrations x baselines x data descriptions.

    importasdm loses rows without a word when a binary file is missing or cut short (DOMAIN section 12); this is what
    its result is held against. Auto-correlations count as `ocorr_mode='ca'` imports them.

    Raises:
        RestoreFailed: Main.xml or ConfigDescription.xml is missing or damaged.
    """
    configurations = {
        _text(row, "configDescriptionId"): _Configuration(
            _text(row, "correlationMode"), int(_text(row, "numDataDescription"))
        )
        for row in _rows(asdm, "ConfigDescription")
    }
    rows: dict[int, int] = defaultdict(int)
    inexact: set[int] = set()
    binaries: dict[int, list[str]] = defaultdict(list)
    try:
        for row in _rows(asdm, "Main"):
            scan = int(_text(row, "scanNumber"))
            configuration = configurations[_text(row, "configDescriptionId")]
            per_integration = _baselines(int(_text(row, "numAntenna")), configuration.correlation_mode)
            integrations = int(_text(row, "numIntegration"))
            if _text(row, "timeSampling") != "INTEGRATION":
                inexact.add(scan)
            rows[scan] += max(integrations, 1) * per_integration * configuration.data_descriptions
            binaries[scan].append(_binary(row))
    except (ValueError, KeyError) as error:
        raise _damaged(asdm, "Main", error) from error
    return {scan: ExpectedRows(rows[scan], scan not in inexact, tuple(binaries[scan])) for scan in rows}


def unreadable_tables(asdm: Path) -> list[str]:
    """The XML tables that are not well-formed: what to name when reading them has killed CASA."""
    damaged = []
    for path in sorted(asdm.glob("*.xml")):
        try:
            for _, element in ElementTree.iterparse(path):
                element.clear()
        except (OSError, ElementTree.ParseError):
            damaged.append(path.name)
    return damaged


def _baselines(antennas: int, correlation_mode: str) -> int:
    cross = antennas * (antennas - 1) // 2
    return {"CROSS_ONLY": cross, "AUTO_ONLY": antennas}.get(correlation_mode, cross + antennas)


def _binary(row: ElementTree.Element) -> str:
    reference = row.find("dataUID/EntityRef")
    uid = "" if reference is None else reference.get("entityId", "")
    return uid.replace(":", "_").replace("/", "_")


def _rows(asdm: Path, table: str) -> Iterator[ElementTree.Element]:
    """The rows of one table, one at a time: Main.xml of a long observation has many."""
    try:
        for _, element in ElementTree.iterparse(asdm / f"{table}.xml"):
            if element.tag == "row":
                yield element
                element.clear()
    except (OSError, ElementTree.ParseError) as error:
        raise _damaged(asdm, table, error) from error


def _damaged(asdm: Path, table: str, error: Exception) -> RestoreFailed:
    return corrupt(asdm.name, f"{table}.xml of {asdm.name} is damaged: {error}.")


def _text(row: ElementTree.Element, tag: str) -> str:
    return (row.findtext(tag) or "").strip()
