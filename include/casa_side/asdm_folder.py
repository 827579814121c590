"""An ASDM on disk: a folder with an XML file a table, and ASDM.xml that lists them. Standard library only."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

TABLES = """
Main AlmaRadiometer Annotation Antenna CalAmpli CalAntennaSolutions CalAppPhase CalAtmosphere CalBandpass CalCurve
CalData CalDelay CalDevice CalFlux CalFocus CalFocusModel CalGain CalHolography CalPhase CalPointing
CalPointingModel CalPosition CalPrimaryBeam CalReduction CalSeeing CalWVR ConfigDescription CorrelatorMode
DataDescription DelayModel DelayModelFixedParameters DelayModelVariableParameters Doppler Ephemeris ExecBlock Feed
Field Flag FlagCmd Focus FocusModel FreqOffset GainTracking History Holography Pipeline Pointing PointingModel
Polarization Processor Receiver SBSummary Scale Scan Seeing Source SpectralWindow SquareLawDetector State Station
Subscan SwitchCycle SysCal SysPower TotalPower VLAWVR WVMCal Weather
"""
"""Every table that ASDM.xml lists, with rows or without: importasdm looks for each of them."""

_HEADER = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'
_SCHEMA = (
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:{prefix}="http://Alma/XASDM/{name}" '
    'xsi:schemaLocation="http://Alma/XASDM/{name} http://almaobservatory.org/XML/XASDM/4/{name}.xsd" '
    'schemaVersion="4" schemaRevision="-1"'
)
_ENTITY = (
    '<{tag} entityId="{uid}" entityIdEncrypted="na" entityTypeName="{kind}" schemaVersion="1" documentVersion="1"/>\n'
)


class AsdmFolder:
    """Collects the rows of an ASDM's tables and writes them when it is closed.

    Args:
        path: the ASDM's folder; one that exists is replaced.
        uid: of the execution block. Its tables and binary files get the uids that follow it.
        created: ISO time, told in ASDM.xml.
    """

    def __init__(self, path: Path, uid: str, created: str) -> None:
        self.path = path
        self.uid = uid
        self._created = created
        self._rows: dict[str, list[dict[str, object]]] = {}
        self._last_number = int(uid.rpartition("X")[2], 16)
        shutil.rmtree(path, ignore_errors=True)
        (path / "ASDMBinary").mkdir(parents=True)

    def new_uid(self) -> str:
        """The next uid of the same range: `uid://A002/Xd248b5/Xa7b` after `uid://A002/Xd248b5/Xa7a`."""
        self._last_number += 1
        return f"{self.uid.rpartition('X')[0]}X{self._last_number:x}"

    def bdf_path(self, uid: str) -> Path:
        return self.path / "ASDMBinary" / uid.replace(":", "_").replace("/", "_")

    def add(self, table: str, **columns: object) -> None:
        """Add a row; the functions below give arrays, times and references as its columns hold them."""
        self._rows.setdefault(table, []).append(columns)

    def close(self) -> None:
        """Write the tables that have rows, and ASDM.xml."""
        entries = [self._write_table(table, self._rows.get(table, [])) for table in TABLES.split()]
        (self.path / "ASDM.xml").write_text(
            f"{_HEADER}<ASDM {_SCHEMA.format(prefix='cntnr', name='ASDM')}>\n"
            f"{_ENTITY.format(tag='Entity', uid=self.uid, kind='ASDM')}"
            f"<TimeOfCreation> {self._created} </TimeOfCreation>\n{''.join(entries)}</ASDM>\n"
        )

    def _write_table(self, table: str, rows: list[dict[str, object]]) -> str:
        """Write one table; the answer is its entry in ASDM.xml."""
        entity = ""
        if rows:
            name = f"{table}Table"
            entity = _ENTITY.format(tag="Entity", uid=self.new_uid(), kind=name)
            container = _ENTITY.format(tag="ContainerEntity", uid=self.uid, kind="ASDM")
            (self.path / f"{table}.xml").write_text(
                f"{_HEADER}<{name} {_SCHEMA.format(prefix='t', name=name)}>\n{entity}{container}"
                f"{''.join(map(_row_xml, rows))}</{name}>\n"
            )
        return f"<Table> <Name> {table} </Name> <NumberRows> {len(rows)} </NumberRows> {entity}</Table>\n"


def _row_xml(columns: dict[str, object]) -> str:
    cells = "".join(f"<{name}>{value}</{name}>\n" for name, value in columns.items())
    return f"<row>\n{cells}</row>\n"


def nanoseconds(mjd_s: float) -> int:
    """A time or a span as ASDMs hold it, rounded to microseconds: more is beyond a double's precision."""
    return round(mjd_s * 1e6) * 1000


def interval(start: float, stop: float) -> str:
    """A time interval: its middle and its length."""
    return f"{nanoseconds((start + stop) / 2)} {nanoseconds(stop - start)}"


def array(values: Iterable[object]) -> str:
    """A one-dimensional array: its rank, its length, its elements."""
    elements = [str(value) for value in values]
    return " ".join(["1", str(len(elements)), *elements])


def texts(values: Iterable[str]) -> str:
    """An array of texts, which may hold blanks."""
    return array(f'"{escape(value)}"' for value in values)


def matrix(rows: Iterable[Iterable[object]]) -> str:
    """A two-dimensional array."""
    table = [[str(value) for value in row] for row in rows]
    return " ".join(["2", str(len(table)), str(len(table[0])), *(value for row in table for value in row)])


def reference(uid: str, kind: str) -> str:
    """A reference to another entity of the archive."""
    return f'<EntityRef entityId="{uid}" partId="X00000000" entityTypeName="{kind}" documentVersion="1"/>'
