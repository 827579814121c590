"""A small, made-up ALMA observation: three sources, a plausible array, instrument errors that calibration removes.

Everything follows from the sizes and the seed: the same spec gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asdm_bdf import Integration
from asdm_writer import write_asdm
from observation import Antenna, Identity, Observation, OnlineFlag, Scan, Source, Window, mjd_seconds

BANDPASS, PHASE, TARGET = 0, 1, 2  # the sources' numbers
SOURCES = (
    Source("J1924-2914", math.radians(291.21275), math.radians(-29.24170), ((0.0, 0.0, 3.0),)),
    Source("J1832-2039", math.radians(278.04604), math.radians(-20.66339), ((0.0, 0.0, 0.8),)),
    Source("DemoTarget", math.radians(277.5), math.radians(-22.0), ((0.0, 0.0, 0.10), (8.0, 6.0, 0.05))),
)
_SCHEDULE = (  # source, integrations at scale 1, intents
    (BANDPASS, 10, ("CALIBRATE_BANDPASS", "CALIBRATE_FLUX", "CALIBRATE_WVR")),
    (PHASE, 4, ("CALIBRATE_PHASE", "CALIBRATE_WVR")),
    (TARGET, 8, ("OBSERVE_TARGET",)),
    (PHASE, 4, ("CALIBRATE_PHASE", "CALIBRATE_WVR")),
    (TARGET, 8, ("OBSERVE_TARGET",)),
    (PHASE, 4, ("CALIBRATE_PHASE", "CALIBRATE_WVR")),
)
_INTEGRATION_S = 6.048
_BETWEEN_SCANS_S = 15.0

_ARRAY_CENTRE = (2225061.9, -5440062.0, -2481682.1)  # of ALMA (ITRF, metres)
_LONGITUDE, _LATITUDE = math.radians(-67.755), math.radians(-23.029)
_FIRST_HZ = (97.0e9, 109.0e9, 99.0e9, 107.0e9)
_BAND, _LOCAL_OSCILLATOR_HZ, _WINDOW_HZ = "ALMA_RB_03", 103.0e9, 500.0e6
_SPEED_OF_LIGHT = 299792458.0

_GOALS = (
    "representativeFrequency = 97.25 GHz",
    "minAcceptableAngResolution = 0.5 arcsec",
    "maxAcceptableAngResolution = 2.0 arcsec",
    "dynamicRange = 10.0",
    "representativeBandwidth = 500.0 MHz",
    "sensitivityGoal = 1.0 mJy",
    "representativeSource = DemoTarget",
    "representativeWindow = X100000000#ALMA_RB_03#BB_1#SW-01",
    "SBName = DemoTarget_a_03_TM1",
    "spectralDynamicRangeBandWidth = None",
    "maxAllowedBeamAxialRatio = 0.0",
)


@dataclass(frozen=True)
class Sizes:
    """How big an execution block is.

    Attributes:
        antennas: 5 to 50.
        windows: spectral windows, 1 to 4.
        channels: of each window.
        scale: how many times the schedule's 38 integrations.
    """

    antennas: int = 10
    windows: int = 2
    channels: int = 32
    scale: int = 1

    def __post_init__(self) -> None:
        if not (5 <= self.antennas <= 50 and 1 <= self.windows <= len(_FIRST_HZ)):
            raise ValueError(f"{self}: 5 to 50 antennas and 1 to {len(_FIRST_HZ)} windows can be simulated.")
        if self.channels < 8 or self.scale < 1:
            raise ValueError(f"{self}: at least 8 channels and scale 1.")


def make_observation(identity: Identity, started: str, sizes: Sizes) -> Observation:
    """Plan one execution block.

    Args:
        started: ISO time of its first scan (UTC).
    """
    scans, start = [], mjd_seconds(started)
    for source, integrations, intents in _SCHEDULE:
        scans.append(Scan(source, start, integrations * sizes.scale, intents))
        start += integrations * sizes.scale * _INTEGRATION_S + _BETWEEN_SCANS_S
    slewing = OnlineFlag(antenna=3, start=scans[2].start, stop=scans[2].start + 13, reason="Mount_is_off_source")
    return Observation(
        identity=identity,
        receiver_band=_BAND,
        local_oscillator_hz=_LOCAL_OSCILLATOR_HZ,
        integration_s=_INTEGRATION_S,
        antennas=tuple(_antenna(number) for number in range(sizes.antennas)),
        windows=tuple(
            Window(f"X100000000#{_BAND}#BB_{number}#SW-01#FULL_RES", first, _WINDOW_HZ / sizes.channels, sizes.channels)
            for number, first in enumerate(_FIRST_HZ[: sizes.windows], start=1)
        ),
        sources=SOURCES,
        scans=tuple(scans),
        online_flags=(slewing,),
        science_goals=_GOALS,
    )


def write_synthetic_asdm(path: Path, identity: Identity, started: str, sizes: Sizes, seed: int) -> Observation:
    """Plan, simulate and write one execution block; the same arguments give the same bytes."""
    observation = make_observation(identity, started, sizes)
    write_asdm(path, observation, Simulation(observation, seed).integrations)
    return observation


def _antenna(number: int) -> Antenna:
    """The antennas stand on a spiral, DA41, DV01, DA42, DV02 ... from the centre out, at least 15 m apart."""
    name = f"DV{number // 2 + 1:02d}" if number % 2 else f"DA{number // 2 + 41}"
    radius, angle = 15.0 * math.sqrt(number), number * math.pi * (3 - math.sqrt(5))
    east, north = radius * math.cos(angle), radius * math.sin(angle)
    x, y, z = _ARRAY_CENTRE
    return Antenna(
        name,
        f"A{number + 1:03d}",
        (
            x - math.sin(_LONGITUDE) * east - math.sin(_LATITUDE) * math.cos(_LONGITUDE) * north,
            y + math.cos(_LONGITUDE) * east - math.sin(_LATITUDE) * math.sin(_LONGITUDE) * north,
            z + math.cos(_LATITUDE) * north,
        ),
    )


class Simulation:
    """What the correlator writes for an observation: the sky through antennas with gains of their own, and noise.

    Data come as ALMA's correlator gives them: correlation coefficients, autocorrelations of about 1. In the first
    integration of each scan the correlator flags one antenna in the last window.
    """

    _JY_TO_COEFFICIENT = 5e-4
    _CROSS_NOISE = 7.3e-5 / math.sqrt(2)
    _AUTO_NOISE = 1e-4

    def __init__(self, observation: Observation, seed: int) -> None:
        self._observation = observation
        self._random = random = np.random.default_rng(seed)
        antennas, windows = len(observation.antennas), len(observation.windows)
        self._second, self._first = np.tril_indices(antennas, -1)  # the BDF's order: (0,1) (0,2) (1,2) (0,3) ...
        self._frequencies = np.array(
            [window.first_hz + np.arange(window.channels) * window.width_hz for window in observation.windows]
        )
        across = np.linspace(-1, 1, observation.windows[0].channels)[:, None]
        shape = (antennas, windows, 1, 2)  # antenna, window, channel, polarisation
        self._phase = random.uniform(-np.pi, np.pi, shape)
        self._drift = random.normal(0, 0.6, (antennas, 1, 1, 1))  # radians in six minutes
        amplitude = 1 + 0.15 * random.standard_normal(shape)
        slope = 1 + 0.1 * random.standard_normal(shape) * across - 0.25 * across**4
        curl = random.normal(0, 0.8, shape) * across + random.normal(0, 0.2, shape) * across**2
        self._bandpass = (amplitude * slope * np.exp(1j * curl)).astype(np.complex64)

    def integrations(self, scan: Scan) -> Iterator[Integration]:
        """The data of one scan, integration after integration."""
        for number, time in enumerate(self._observation.integration_times(scan)):
            gains = self._gains(time)
            sky = self._visibilities(self._observation.sources[scan.source], time) * self._JY_TO_COEFFICIENT
            cross = gains[self._first] * gains[self._second].conj()
            cross *= sky[..., None]
            cross += self._CROSS_NOISE * self._noise((*cross.shape, 2)).view(np.complex64)[..., 0]
            auto = (gains * gains.conj()).real + self._AUTO_NOISE * self._noise(gains.shape)
            yield Integration(time, cross, auto, *self._flags(first_of_scan=number == 0))

    def _noise(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._random.standard_normal(shape, dtype=np.float32)

    def _gains(self, time: float) -> np.ndarray:
        """Complex gain of each antenna, window, channel and polarisation: a bandpass times slow drifts."""
        tau = (time - self._observation.start) / 360.0
        phase = self._phase + self._drift * tau + 0.1 * np.sin(3 * tau + self._drift)
        slow = (1 + 0.05 * np.sin(tau)) * np.exp(1j * phase)
        return self._bandpass * slow.astype(np.complex64)

    def _visibilities(self, source: Source, time: float) -> np.ndarray:
        """Jy of each baseline, window and channel."""
        seen: np.ndarray = np.zeros((len(self._first), *self._frequencies.shape), np.complex64)
        spectrum = ((self._frequencies / 1e11) ** -0.5).astype(np.float32)
        for east, north, jansky in source.components:
            if not (east or north):
                seen += jansky * spectrum
                continue
            offset = np.radians([east, north]) / 3600
            direction = np.array([*offset, math.sqrt(1 - offset @ offset) - 1])
            uvw = _uvw(np.array([antenna.position for antenna in self._observation.antennas]), time, source)
            delay = ((uvw[self._second] - uvw[self._first]) @ direction) / _SPEED_OF_LIGHT
            turns = delay[:, None, None] * self._frequencies
            seen += jansky * spectrum * np.exp(-2j * np.pi * turns).astype(np.complex64)
        return seen

    def _flags(self, *, first_of_scan: bool) -> tuple[np.ndarray, np.ndarray]:
        antennas, windows = len(self._observation.antennas), len(self._observation.windows)
        cross_flags = np.zeros((len(self._first), windows, 2), np.uint32)
        auto_flags = np.zeros((antennas, windows, 2), np.uint32)
        if first_of_scan:
            bad = antennas - 3
            cross_flags[(self._first == bad) | (self._second == bad), -1] = 1
            auto_flags[bad, -1] = 1
        return cross_flags, auto_flags


def _uvw(positions: np.ndarray, time: float, source: Source) -> np.ndarray:
    """Coordinates of antennas in metres, seen from the source; precession and sidereal time, nothing finer."""
    days = time / 86400.0 - 51544.5
    zeta, z, theta = (math.radians(arcsec * days / 36525.0 / 3600) for arcsec in (2306.2181, 2306.2181, 2004.3109))
    precession = _about_z(-z) @ _about_y(theta) @ _about_z(-zeta)
    towards = precession @ [
        math.cos(source.dec) * math.cos(source.ra),
        math.cos(source.dec) * math.sin(source.ra),
        math.sin(source.dec),
    ]
    east = np.cross(precession @ [0.0, 0.0, 1.0], towards)
    east /= np.linalg.norm(east)
    north = np.cross(towards, east)
    sidereal = math.radians((280.46061837 + 360.98564736629 * days) % 360)
    return positions @ _about_z(sidereal) @ np.stack([east, north, towards], axis=-1)


def _about_z(angle: float) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _about_y(angle: float) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
