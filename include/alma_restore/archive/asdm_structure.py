"""Is an ASDM whole? Its tables, their rows, and every binary data file that Main.xml names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from alma_restore import guarded_xml
from alma_restore.archive import bdf
from alma_restore.errors import Corrupt, Refused
from alma_restore.uid import Uid

_REMEDY = "Export the execution block again; if it stays so, its copy in the archive is damaged."
_DOPPLER = 5e-4
"""How far the Earth's and a planet's motion move a frequency between two observations, at most."""
_BINARY_TABLE_BEGINS = b"MIME-Version"
_BINARY_TABLE_ENDS = b"--MIME_boundary--"


@dataclass(frozen=True, slots=True)
class AsdmFacts:
    """What a whole ASDM holds, to compare the MeasurementSet with.

    Attributes:
        uid: the execution block.
        size_bytes: of all its files.
        main_rows: rows of Main.xml, one a BDF.
        integrations: over all of Main.xml.
        scans: scan numbers, in order.
        fields: field names, in order of their ids.
        antennas, spectral_windows: how many.
        ms_rows: rows that importasdm makes of it with cross and auto data (ocorr_mode='ca').
    """

    uid: Uid
    size_bytes: int
    main_rows: int
    integrations: int
    scans: tuple[int, ...]
    fields: tuple[str, ...]
    antennas: int
    spectral_windows: int
    ms_rows: int


@dataclass(frozen=True, slots=True)
class SpectralWindow:
    """A spectral window of an execution block.

    Attributes:
        name: such as `X100000000#ALMA_RB_03#BB_1#SW-01#FULL_RES`; empty in data of Cycle 0.
        baseband: such as `BB_1`.
        channels: how many.
        hz: its reference frequency.
    """

    name: str
    baseband: str
    channels: int
    hz: float

    def is_of_the_setup_of(self, other: SpectralWindow) -> bool:
        """Do two execution blocks mean the same by them? Later cycles put more in front of a name.

        Source: the pipeline's match_spw_basename.
        """
        if self.name and other.name:
            return self.name.endswith(other.name) or other.name.endswith(self.name)
        same = (self.baseband, self.channels) == (other.baseband, other.channels)
        return same and abs(self.hz - other.hz) <= _DOPPLER * other.hz

    def __str__(self) -> str:
        return self.name or f"{self.channels} channels of {self.baseband} at {self.hz / 1e9:.3f} GHz"


@dataclass(frozen=True, slots=True)
class _MainRow:
    bdf_uid: str
    size_bytes: int
    integrations: int
    antennas: int
    scan: int
    configuration: str


def check_asdm(folder: Path) -> AsdmFacts:
    """Check an ASDM as far as CASA relies on it, before CASA meets it: importasdm does not report damage.

    Tables named in ASDM.xml are there, well-formed and have their rows; every BDF of Main.xml is there, no shorter
    than Main says, can be read to its end and holds the integrations that Main promises.

    Raises:
        Corrupt: with the table's or the BDF's name.

    Source: DOMAIN sections 6, 9 and 12.
    """
    uid, tables = _contents(folder)
    for name, rows in tables.items():
        if rows:
            _check_table(folder, name, rows)
    main = [_main_row(row) for row in _rows(folder, "Main")]
    if not main:
        raise Corrupt(f"ASDM {folder.name} has no data: Main.xml has no rows.", remedy=_REMEDY)
    for row in main:
        _check_bdf(folder, row)
    return AsdmFacts(
        uid=uid,
        size_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        main_rows=len(main),
        integrations=sum(row.integrations for row in main),
        scans=tuple(sorted({row.scan for row in main})),
        fields=tuple(_text(row, "fieldName") for row in _rows(folder, "Field")),
        antennas=tables.get("Antenna", 0),
        spectral_windows=tables.get("SpectralWindow", 0),
        ms_rows=_ms_rows(folder, main),
    )


def spectral_windows(folder: Path) -> tuple[SpectralWindow, ...]:
    """The spectral windows of an ASDM in the order in which importasdm numbers them: those with data first.

    Raises:
        Corrupt: their table is damaged.

    Source: reorderSwIds in CASA's importasdm.
    """
    with_data = {_tag(row, "spectralWindowId") for row in _rows(folder, "DataDescription")}
    found = {
        _tag(row, "spectralWindowId"): SpectralWindow(
            name=_text(row, "name"),
            baseband=_text(row, "basebandName"),
            channels=_number(row, "numChan"),
            hz=_real(row, "refFreq"),
        )
        for row in _rows(folder, "SpectralWindow")
    }
    return tuple(found[tag] for tag in sorted(found, key=lambda tag: (tag not in with_data, tag)))


def _contents(folder: Path) -> tuple[Uid, dict[str, int]]:
    """What ASDM.xml says: the execution block, and how many rows each table has."""
    root = guarded_xml.parse(folder / "ASDM.xml")
    entity = root.find("{*}Entity")
    try:
        uid = Uid("" if entity is None else entity.get("entityId", ""))
    except Refused as refusal:
        raise Corrupt(f"ASDM.xml in {folder.name} names no execution block.", remedy=_REMEDY) from refusal
    tables = {_text(table, "Name"): _number(table, "NumberRows") for table in root.iterfind("{*}Table")}
    if not tables.get("Main"):
        raise Corrupt(f"ASDM.xml in {folder.name} names no Main table.", remedy=_REMEDY)
    return uid, tables


def _check_table(folder: Path, name: str, rows: int) -> None:
    path = folder / f"{name}.xml"
    if "/" in name or not path.is_file():
        raise Corrupt(f"Table {name} of ASDM {folder.name} is missing.", remedy=_REMEDY)
    binary = folder / f"{name}.bin"
    if name != "Main" and binary.is_file():
        guarded_xml.parse(path)
        _check_binary_table(binary)
        return
    there = sum(1 for _ in _rows(folder, name))
    if there != rows:
        raise Corrupt(f"Table {name} of ASDM {folder.name} has {there} rows; ASDM.xml says {rows}.", remedy=_REMEDY)


def _check_binary_table(path: Path) -> None:
    """A large table can be a MIME file beside an XML file that only refers to it."""
    with path.open("rb") as stream:
        begins = stream.read(len(_BINARY_TABLE_BEGINS))
        stream.seek(max(path.stat().st_size - 2 * len(_BINARY_TABLE_ENDS), 0))
        ends = stream.read().rstrip()
    if begins != _BINARY_TABLE_BEGINS or not ends.endswith(_BINARY_TABLE_ENDS):
        raise Corrupt(f"Table {path.name} of ASDM {path.parent.name} is damaged.", remedy=_REMEDY)


def _check_bdf(folder: Path, row: _MainRow) -> None:
    name = row.bdf_uid.replace(":", "_").replace("/", "_")
    path = folder / "ASDMBinary" / name
    if not path.is_file():
        raise bdf.damaged(name, f"of scan {row.scan} is missing")
    size = path.stat().st_size
    if size < row.size_bytes:  # more is no sign of damage: whether Main counts the headers is not documented
        raise bdf.damaged(name, f"has {size} bytes; Main.xml says {row.size_bytes}")
    content = bdf.read(path)
    if content.uid != row.bdf_uid:
        raise bdf.damaged(name, f"holds the data of {content.uid or 'nothing known'}")
    if content.antennas != row.antennas:
        raise bdf.damaged(name, f"has data of {content.antennas} antennas; Main.xml says {row.antennas}")
    if not content.holds(row.integrations):
        raise bdf.damaged(name, f"has {content.subsets} integrations; Main.xml says {row.integrations}")


def _main_row(row: etree._Element) -> _MainRow:
    reference = row.find("{*}dataUID/{*}EntityRef")
    return _MainRow(
        bdf_uid="" if reference is None else reference.get("entityId", "").strip(),
        size_bytes=_number(row, "dataSize"),
        integrations=_number(row, "numIntegration"),
        antennas=_number(row, "numAntenna"),
        scan=_number(row, "scanNumber"),
        configuration=_text(row, "configDescriptionId"),
    )


def _ms_rows(folder: Path, main: list[_MainRow]) -> int:
    """Each integration gives a row for each antenna (auto) and pair of antennas (cross), in each data description."""
    spectra: dict[str, tuple[int, str]] = {
        _text(row, "configDescriptionId"): (_number(row, "numDataDescription"), _text(row, "correlationMode"))
        for row in _rows(folder, "ConfigDescription")
    }
    total = 0
    for row in main:
        descriptions, mode = spectra.get(row.configuration, (0, ""))
        auto = row.antennas if mode != "CROSS_ONLY" else 0
        cross = row.antennas * (row.antennas - 1) // 2 if mode != "AUTO_ONLY" else 0
        total += row.integrations * descriptions * (auto + cross)
    return total


def _rows(folder: Path, table: str) -> Iterator[etree._Element]:
    return guarded_xml.iterate(folder / f"{table}.xml", "row", f"{table}Table")


def _text(row: etree._Element, name: str) -> str:
    return (row.findtext(f"{{*}}{name}") or "").strip()


def _number(row: etree._Element, name: str) -> int:
    return _whole_number(row, name, _text(row, name))


def _tag(row: etree._Element, name: str) -> int:
    """The number in an id such as `SpectralWindow_17`."""
    return _whole_number(row, name, _text(row, name).rpartition("_")[2])


def _real(row: etree._Element, name: str) -> float:
    text = _text(row, name)
    try:
        return float(text)
    except ValueError as error:
        raise _no_number(row, name, text) from error


def _whole_number(row: etree._Element, name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > bdf.LONGEST_NUMBER:
        raise _no_number(row, name, text)
    return int(text)


def _no_number(row: etree._Element, name: str, text: str) -> Corrupt:
    document = guarded_xml.local_name(row.getroottree().getroot())
    return Corrupt(f"{document} has {name} {text[:80]!r} where a number belongs.", remedy=_REMEDY)
