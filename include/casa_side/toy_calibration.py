"""A short but real interferometric calibration of one execution block, with the steps and names of the pipeline's.

Source: the ALMA pipeline's hifa_calimage recipe, of which this keeps what leaves its mark on the products: a phased-up
bandpass, phases combined over spectral windows (hence a spwmap), phases and amplitudes in time, a flux scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casatasks import applycal, bandpass, flagdata, flagmanager, fluxscale, gaincal, importasdm, setjy

from observation import Observation
from synthetic_sky import BANDPASS, PHASE, SOURCES, TARGET

_ASIS = "SBSummary ExecBlock Antenna Annotation Station Receiver Source CalAtmosphere CalWVR CalPointing Pointing"
_EDGE_FRACTION = 1 / 32  # of the channels, flagged at either edge
_FLUX_DENSITY_JY = {"fluxdensity": [3.0, 0, 0, 0], "spix": -0.5, "reffreq": "100GHz"}  # of the bandpass calibrator
_CASA_INTENTS = {
    "AMPLITUDE": "*CALIBRATE_FLUX*",
    "BANDPASS": "*CALIBRATE_BANDPASS*",
    "PHASE": "*CALIBRATE_PHASE*",
    "TARGET": "*OBSERVE_TARGET*",
}


@dataclass(frozen=True)
class AppliedTable:
    """One calibration table with the way it is applied; the fields are applycal's."""

    gaintable: str
    gainfield: str = ""
    spwmap: tuple[int, ...] = ()
    interp: str = "linear,linear"
    calwt: bool = False


@dataclass(frozen=True)
class Application:
    """One line of a calapply file: which tables calibrate these scans; the intents are the pipeline's words."""

    field: str
    intents: tuple[str, ...]
    spw: str
    antenna: str
    tables: tuple[AppliedTable, ...]

    def arguments(self) -> dict[str, list[Any]]:
        """The tables as applycal's parallel lists."""
        columns = ("gaintable", "gainfield", "interp", "calwt")
        lists = {name: [getattr(table, name) for table in self.tables] for name in columns}
        return {**lists, "spwmap": [list(table.spwmap) for table in self.tables]}

    @property
    def casa_intent(self) -> str:
        return ",".join(_CASA_INTENTS[word] for word in self.intents)

    def call(self, folder: str, vis: str) -> str:
        """The line of the calapply file, with the paths of the run that calibrated."""
        arguments = self.arguments()
        arguments["gaintable"] = [folder + table for table in arguments["gaintable"]]
        chosen = {"field": self.field, "intent": ",".join(self.intents), "spw": self.spw, "antenna": self.antenna}
        shown = {"vis": folder + vis, **chosen, **arguments}
        return f"applycal({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True)
class Calibration:
    """What calibrating one execution block gave.

    Attributes:
        applications: lines of the calapply file.
        phase_flux_jy: flux density of the phase calibrator in each window.
    """

    applications: tuple[Application, ...]
    phase_flux_jy: tuple[float, ...]

    @property
    def caltables(self) -> list[str]:
        return sorted({table.gaintable for application in self.applications for table in application.tables})


def calibrate(asdm: Path, vis: str, observation: Observation) -> Calibration:
    """Import raw data into the MeasurementSet `vis` in the current folder, calibrate it, save its flags.

    Leaves CORRECTED_DATA, the flag version `Pipeline_Final` and the calibration tables beside it.
    """
    online_flags = f"{asdm.name}.flagonline.txt"
    importasdm(
        asdm=str(asdm),
        vis=vis,
        asis=_ASIS,
        bdfflags=True,
        lazy=False,
        ocorr_mode="ca",
        process_caldevice=False,
        with_pointing_correction=False,
        savecmds=True,
        outfile=online_flags,
    )
    _flag(vis, Path(online_flags), observation)
    calibration = _Solver(vis, observation).solve()
    for application in calibration.applications:
        applycal(
            vis=vis,
            field=application.field,
            intent=application.casa_intent,
            spw=application.spw,
            antenna="*&*",
            applymode="calflagstrict",
            flagbackup=False,
            **application.arguments(),
        )
    flagmanager(vis=vis, mode="save", versionname="Pipeline_Final", comment="Final pipeline flags")
    return calibration


def _flag(vis: str, online_flags: Path, observation: Observation) -> None:
    """Flag autocorrelations, what was bad while observing, and the edges of the windows."""
    edges = []
    for number, window in enumerate(observation.windows):
        width = max(1, round(window.channels * _EDGE_FRACTION))
        edges.append(f"{number}:0~{width - 1};{window.channels - width}~{window.channels - 1}")
    commands = ["mode='manual' autocorr=True", *online_flags.read_text().splitlines(), f"spw='{','.join(edges)}'"]
    flagdata(vis=vis, mode="list", inpfile=commands, flagbackup=False)


class _Solver:
    """Solves for one execution block, table after table."""

    def __init__(self, vis: str, observation: Observation) -> None:
        self._vis = vis
        self._windows = len(observation.windows)
        self._antennas = len(observation.antennas)
        self._reference_antenna = observation.antennas[0].name

    def solve(self) -> Calibration:
        setjy(vis=self._vis, field=str(BANDPASS), standard="manual", usescratch=False, **_FLUX_DENSITY_JY)
        phase_up = self._gains("hifa_bandpass.s15_2", "solintint.gpcal", [], fields=[BANDPASS], solint="int")
        spectrum = self._bandpass(phase_up)
        offsets = self._gains("hifa_spwphaseup.s17_3", "solintinf.gpcal", [spectrum], fields=[BANDPASS])
        on_bandpass = [spectrum, offsets]
        combined = self._gains("hifa_timegaincal.s20_2", "solintint.gpcal", on_bandpass, solint="int", combine="spw")
        slow = self._gains("hifa_timegaincal.s20_4", "solintinf.gpcal", [spectrum])
        amplitudes, flux = self._scaled_amplitudes([spectrum, offsets, combined])
        return Calibration(tuple(self._applications(spectrum, offsets, combined, slow, amplitudes)), flux)

    def _name(self, task: str, kind: str) -> str:
        windows = "_".join(str(number) for number in range(self._windows))
        return f"{self._vis}.{task}.spw{windows}.{kind}.tbl"

    def _gains(
        self, task: str, kind: str, before: Sequence[str], fields: Sequence[int] = (BANDPASS, PHASE), **how: Any
    ) -> str:
        """Solve for antenna gains after applying the tables `before`; phases unless `how` says otherwise."""
        table = self._name(task, kind)
        gaincal(
            vis=self._vis,
            caltable=table,
            field=",".join(map(str, fields)),
            refant=self._reference_antenna,
            minsnr=2,
            minblperant=3,
            gaintable=list(before),
            **{"solint": "inf", "calmode": "p", "gaintype": "G", **how},
        )
        return table

    def _bandpass(self, phase_up: str) -> str:
        table = self._name("hifa_bandpass.s15_4", "channel.solintinf.bcal")
        bandpass(
            vis=self._vis,
            caltable=table,
            field=str(BANDPASS),
            solint="inf",
            combine="scan",
            refant=self._reference_antenna,
            minsnr=2,
            minblperant=3,
            gaintable=[phase_up],
            interp=["nearest"],
        )
        return table

    def _scaled_amplitudes(self, before: Sequence[str]) -> tuple[str, tuple[float, ...]]:
        """Amplitudes on the bandpass calibrator's flux scale, and the phase calibrator's flux density on it."""
        how: dict[str, Any] = {"calmode": "a", "gaintype": "T", "spwmap": [[], [], [0] * self._windows]}
        unscaled = self._gains("hifa_gfluxscale.s18_6", "solintinf.gacal", before, **how)
        scaled = self._name("hifa_timegaincal.s20_8", "solintinf.gacal")
        found = fluxscale(
            vis=self._vis,
            caltable=unscaled,
            fluxtable=scaled,
            reference=SOURCES[BANDPASS].name,
            transfer=SOURCES[PHASE].name,
        )
        return scaled, tuple(float(found[str(PHASE)][str(number)]["fluxd"][0]) for number in range(self._windows))

    def _applications(
        self, spectrum: str, offsets: str, combined: str, slow: str, amplitudes: str
    ) -> list[Application]:
        """What calibrates what: calibrators take the combined phases, mapped to every window, the target slow ones."""
        shape = AppliedTable(spectrum, calwt=True)
        offset = AppliedTable(offsets, interp="nearest,linear")
        first_window = (0,) * self._windows

        def calibrator(source: int, *intents: str) -> Application:
            phases = AppliedTable(combined, gainfield=str(source), spwmap=first_window, interp="linearPD,linear")
            return self._application(source, intents, shape, offset, phases, amplitude(source))

        def amplitude(source: int) -> AppliedTable:
            return AppliedTable(amplitudes, gainfield=str(source))

        slow_phases = AppliedTable(slow, gainfield=str(PHASE))
        return [
            calibrator(BANDPASS, "AMPLITUDE", "BANDPASS"),
            calibrator(PHASE, "PHASE"),
            self._application(TARGET, ("TARGET",), shape, slow_phases, amplitude(PHASE)),
        ]

    def _application(self, source: int, intents: tuple[str, ...], *tables: AppliedTable) -> Application:
        spw, antenna = f"0~{self._windows - 1}", f"0~{self._antennas - 1}"
        return Application(SOURCES[source].name, intents, spw, antenna, tables)
