"""The binary files of an ASDM (BDF): the correlator's output of one subscan, as MIME parts with XML headers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asdm_folder import nanoseconds

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class Integration:
    """What the correlator wrote for one integration.

    Attributes:
        time: the middle of the integration (MJD seconds).
        cross: complex64 [baseline, window, channel, polarisation].
        auto: float32 [antenna, window, channel, polarisation].
        cross_flags, auto_flags: uint32 [baseline or antenna, window, polarisation]; not 0 is bad.
    """

    time: float
    cross: np.ndarray
    auto: np.ndarray
    cross_flags: np.ndarray
    auto_flags: np.ndarray


@dataclass(frozen=True)
class BdfHeader:
    """What a BDF says of itself.

    Attributes:
        project_path: `<ExecBlock>/<scan>/<subscan>/`, each counted from 1.
        channels: of each window; baselines come in the order (0,1) (0,2) (1,2) (0,3) ...
    """

    uid: str
    eb_uid: str
    project_path: str
    start: float
    integrations: int
    integration_s: float
    antennas: int
    windows: int
    channels: int
    polarisations: int = 2

    @property
    def baselines(self) -> int:
        return self.antennas * (self.antennas - 1) // 2


def write_bdf(path: Path, header: BdfHeader, integrations: Iterable[Integration]) -> int:
    """Write one BDF and tell its size in bytes.

    Raises:
        ValueError: another number of integrations came than the header announces.
    """
    written = 0
    with path.open("wb", buffering=_BUFFER_BYTES) as bdf:
        bdf.write(_global_header(header).encode())
        for written, integration in enumerate(integrations, start=1):
            part = f"{header.project_path}{written}/"
            bdf.write(_integration_header(part, integration.time, header.integration_s).encode())
            flags = np.concatenate([integration.cross_flags.ravel(), integration.auto_flags.ravel()])
            for name, values in (
                ("flags", flags.astype("<u4", copy=False)),
                ("crossData", integration.cross.astype("<c8", copy=False)),
                ("autoData", integration.auto.astype("<f4", copy=False)),
            ):
                bdf.write(_BINARY_PART.format(location=f"{part}{name}.bin").encode())
                bdf.write(np.ascontiguousarray(values).data)
                bdf.write(b"\n")
            bdf.write(b"--MIME_boundary-2--\n")
        bdf.write(b"--MIME_boundary-1--\n")
        size_bytes = bdf.tell()
    if written != header.integrations:
        raise ValueError(f"{path}: {written} integrations came, {header.integrations} were announced.")
    return size_bytes


_BINARY_PART = "--MIME_boundary-2\nContent-Type: binary/octet-stream\nContent-Location: {location}\n\n"


def _global_header(header: BdfHeader) -> str:
    per_spectrum = header.channels * header.polarisations
    flags = (header.baselines + header.antennas) * header.windows * header.polarisations
    cross = header.baselines * header.windows * per_spectrum * 2  # real and imaginary parts count
    auto = header.antennas * header.windows * per_spectrum
    basebands = "".join(
        f'<baseband name="BB_{number}"><spectralWindow sw="1" swbb="BB_{number}_SW-1" crossPolProducts="XX YY" '
        f'sdPolProducts="XX YY" scaleFactor="1" numSpectralPoint="{header.channels}" numBin="1" sideband="USB"/>'
        "</baseband>\n"
        for number in range(1, header.windows + 1)
    )
    return f"""\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="MIME_boundary-1"; type="text/xml"
Content-Description: ALMA Binary Data
Content-Location: {header.uid}

--MIME_boundary-1
Content-Type: text/xml; charset="UTF-8"
Content-Transfer-Encoding: 8bit
Content-Location: {header.project_path}desc.xml

<?xml version="1.0" encoding="UTF-8"?>
<sdmDataHeader byteOrder="Little_Endian" schemaVersion="2" xsi:noNamespaceSchemaLocation="binDataHeader9.xsd" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xs="http://www.w3.org/2001/XMLSchema" \
xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xhtml="http://www.w3.org/1999/xhtml" \
xmlns:xvers="http://aramis.obspm.fr/~alma/xvers" projectPath="{header.project_path}" \
xvers:schemaVersion="0" xvers:revision="0.0.96">
<startTime>{nanoseconds(header.start)}</startTime>
<dataOID xlink:type="locator" xlink:href="{header.uid}" xlink:title="ALMA Binary Data"/>
<dimensionality axes="TIM">{header.integrations}</dimensionality>
<execBlock href="{header.eb_uid}"/>
<numAntenna>{header.antennas}</numAntenna>
<correlationMode>CROSS_AND_AUTO</correlationMode>
<spectralResolution>FULL_RESOLUTION</spectralResolution>
<processorType>CORRELATOR</processorType>
<dataStruct xsi:type="CrossAndAutoDataFR" apc="AP_UNCORRECTED">
{basebands}<flags size="{flags}" axes="BAL ANT BAB POL"/>
<crossData size="{cross}" axes="BAL BAB SPP POL"/>
<autoData size="{auto}" axes="ANT BAB SPP POL" normalized="false"/>
</dataStruct>
</sdmDataHeader>
"""


def _integration_header(part: str, time: float, integration_s: float) -> str:
    return f"""\
--MIME_boundary-1
Content-Type: Multipart/Related; boundary="MIME_boundary-2";type="text/xml"
Content-Description: Data and metadata subset
--MIME_boundary-2
Content-Type: text/xml; charset="UTF-8"
Content-Location: {part}desc.xml

<sdmDataSubsetHeader xmlns:xlink="http://www.w3.org/1999/xlink" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="BinaryCrossAndAutoData" projectPath="{part}">
<schedulePeriodTime>
<time>{nanoseconds(time)}</time>
<interval>{nanoseconds(integration_s)}</interval>
</schedulePeriodTime>
<dataStruct ref="corrData"/>
<flags xlink:href="{part}flags.bin"/>
<crossData xlink:href="{part}crossData.bin" type="FLOAT32_TYPE"/>
<autoData xlink:href="{part}autoData.bin"/>
</sdmDataSubsetHeader>
"""
