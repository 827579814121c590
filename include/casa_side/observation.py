"""What one observing run of ALMA was: antennas, receivers, sources, scans. Times are MJD seconds (UTC)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

_MJD_EPOCH = datetime(1858, 11, 17)


@dataclass(frozen=True)
class Antenna:
    """An antenna on its pad; the position is geocentric (ITRF), in metres."""

    name: str
    pad: str
    position: tuple[float, float, float]

    @property
    def make(self) -> str:
        makes = {"DA": "AEM_12", "DV": "VERTEX_12", "PM": "MITSUBISHI_12_A", "CM": "MITSUBISHI_7"}
        return makes[self.name[:2]]


@dataclass(frozen=True)
class Window:
    """A spectral window, upper sideband, linear polarisations XX and YY; each has a baseband of its own."""

    name: str
    first_hz: float
    width_hz: float
    channels: int


@dataclass(frozen=True)
class Source:
    """A direction (radians) and what is there: components (arcsec east, arcsec north, Jy at 100 GHz)."""

    name: str
    ra: float
    dec: float
    components: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Scan:
    """Some integrations on one source (its number in the observation), for a purpose."""

    source: int
    start: float
    integrations: int
    intents: tuple[str, ...]


@dataclass(frozen=True)
class OnlineFlag:
    """What the control software noted while observing: this antenna (its number) was no good then."""

    antenna: int
    start: float
    stop: float
    reason: str


@dataclass(frozen=True)
class Identity:
    """The uids that tie an execution block to its project."""

    eb_uid: str
    mous_uid: str
    project_uid: str
    sched_block_uid: str


@dataclass(frozen=True)
class Observation:
    """One execution block; the order of each tuple is the numbering in the data."""

    identity: Identity
    receiver_band: str
    local_oscillator_hz: float
    integration_s: float
    antennas: tuple[Antenna, ...]
    windows: tuple[Window, ...]
    sources: tuple[Source, ...]
    scans: tuple[Scan, ...]
    online_flags: tuple[OnlineFlag, ...] = ()
    science_goals: tuple[str, ...] = ()

    @property
    def start(self) -> float:
        return self.scans[0].start

    @property
    def stop(self) -> float:
        return self.scan_stop(self.scans[-1])

    def scan_stop(self, scan: Scan) -> float:
        return scan.start + scan.integrations * self.integration_s

    def integration_times(self, scan: Scan) -> Iterator[float]:
        """The middle of each integration."""
        return (scan.start + (number + 0.5) * self.integration_s for number in range(scan.integrations))


def mjd_seconds(iso_time: str) -> float:
    return (datetime.fromisoformat(iso_time) - _MJD_EPOCH).total_seconds()


def iso_time(mjd_s: float) -> str:
    return (_MJD_EPOCH + timedelta(seconds=mjd_s)).isoformat()
