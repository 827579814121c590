"""The tables of an ASDM that hold for a whole observation: antennas, receivers, sources, correlator, project."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import combinations

from asdm_folder import AsdmFolder, array, interval, matrix, nanoseconds, reference, texts
from observation import Observation

_MARGIN_S = 60.0  # the slowly changing tables hold from a minute before the first scan to a minute after the last
_WEATHER_STATION = (2225000.0, -5440100.0, -2481680.0)
_WEATHER_ROWS = 3
_NO_LEAKAGE = "2 2 2 1 0 0 0 0 0 1 0"  # a 2x2 complex identity


def add_observation_tables(asdm: AsdmFolder, observation: Observation) -> None:
    """Add the rows of every table that does not grow with the scans."""
    _add_antennas(asdm, observation)
    _add_weather(asdm, observation)
    _add_windows(asdm, observation)
    _add_sources(asdm, observation)
    _add_correlator(asdm, observation)
    _add_project(asdm, observation)
    _add_online_flags(asdm, observation)


def ids(kind: str, things: Iterable[object]) -> list[str]:
    """The row ids of these things: `Antenna_0`, `Antenna_1`, ..."""
    return [f"{kind}_{number}" for number, _ in enumerate(things)]


def _whole(observation: Observation) -> str:
    return interval(observation.start - _MARGIN_S, observation.stop + _MARGIN_S)


def _add_antennas(asdm: AsdmFolder, observation: Observation) -> None:
    for number, antenna in enumerate(observation.antennas):
        station = f"Station_{number}"
        position = array(f"{metres:.9f}" for metres in antenna.position)
        asdm.add("Station", stationId=station, name=antenna.pad, position=position, type="ANTENNA_PAD")
        asdm.add(
            "Antenna",
            antennaId=f"Antenna_{number}",
            name=antenna.name,
            antennaMake=antenna.make,
            antennaType="GROUND_BASED",
            dishDiameter=12,
            position=array([0.0, 0.0, 0.0]),
            offset=array([0.0, 0.0, 0.0]),
            time=nanoseconds(observation.start),
            stationId=station,
        )


def _add_weather(asdm: AsdmFolder, observation: Observation) -> None:
    station = f"Station_{len(observation.antennas)}"
    asdm.add(
        "Station", stationId=station, name="MeteoCentral", position=array(_WEATHER_STATION), type="WEATHER_STATION"
    )
    start, length = observation.start - _MARGIN_S, observation.stop - observation.start + 2 * _MARGIN_S
    for row in range(_WEATHER_ROWS):
        asdm.add(
            "Weather",
            timeInterval=interval(start + row * length / _WEATHER_ROWS, start + (row + 1) * length / _WEATHER_ROWS),
            stationId=station,
            pressure=55500,
            relHumidity=12 + row,
            temperature=f"{270.5 - 0.2 * row:.2f}",
            windDirection=4.5,
            windSpeed=3.5,
            windMax=5.0,
            dewPoint=245.0,
        )


def _add_windows(asdm: AsdmFolder, observation: Observation) -> None:
    for number, window in enumerate(observation.windows):
        window_id = f"SpectralWindow_{number}"
        asdm.add(
            "SpectralWindow",
            spectralWindowId=window_id,
            basebandName=f"BB_{number + 1}",
            netSideband="USB",
            numChan=window.channels,
            refFreq=window.first_hz,
            sidebandProcessingMode="NONE",
            totBandwidth=window.width_hz * window.channels,
            windowFunction="HANNING",
            chanFreqStart=window.first_hz,
            chanFreqStep=window.width_hz,
            chanWidth=window.width_hz,
            effectiveBw=window.width_hz,
            resolution=window.width_hz * 1.129,
            measFreqRef="TOPO",
            name=window.name,
            freqGroup=0,
            freqGroupName="Group 1",
            numBin=1,
        )
        asdm.add(
            "DataDescription",
            dataDescriptionId=f"DataDescription_{number}",
            polOrHoloId="Polarization_0",
            spectralWindowId=window_id,
        )
        asdm.add(
            "Receiver",
            receiverId=0,
            spectralWindowId=window_id,
            timeInterval=_whole(observation),
            name=observation.receiver_band,
            numLO=2,
            frequencyBand=observation.receiver_band,
            freqLO=array([observation.local_oscillator_hz, 4.0e9]),
            receiverSideband="TSB",
            sidebandLO=array(["USB", "USB"]),
        )
        _add_feeds(asdm, observation, window_id)
    asdm.add(
        "Polarization",
        polarizationId="Polarization_0",
        numCorr=2,
        corrType=array(["XX", "YY"]),
        corrProduct=matrix([["X", "X"], ["Y", "Y"]]),
    )


def _add_feeds(asdm: AsdmFolder, observation: Observation, window_id: str) -> None:
    for antenna_id in ids("Antenna", observation.antennas):
        asdm.add(
            "Feed",
            feedId=0,
            timeInterval=_whole(observation),
            numReceptor=2,
            beamOffset=matrix([[0.0, 0.0], [0.0, 0.0]]),
            focusReference=matrix([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
            polarizationTypes=array(["X", "Y"]),
            polResponse=_NO_LEAKAGE,
            receptorAngle=array([0.0, math.pi / 2]),
            antennaId=antenna_id,
            receiverId=array([0, 0]),
            spectralWindowId=window_id,
        )


def _add_sources(asdm: AsdmFolder, observation: Observation) -> None:
    for number, source in enumerate(observation.sources):
        direction = matrix([[source.ra, source.dec]])
        asdm.add(
            "Field",
            fieldId=f"Field_{number}",
            fieldName=source.name,
            numPoly=1,
            delayDir=direction,
            phaseDir=direction,
            referenceDir=direction,
            time=nanoseconds(observation.start),
            code="none",
            directionCode="ICRS",
            sourceId=number,
        )
        for window_id in ids("SpectralWindow", observation.windows):
            asdm.add(
                "Source",
                sourceId=number,
                timeInterval=_whole(observation),
                code="none",
                direction=array([source.ra, source.dec]),
                properMotion=array([0.0, 0.0]),
                sourceName=source.name,
                directionCode="ICRS",
                spectralWindowId=window_id,
            )


def _add_correlator(asdm: AsdmFolder, observation: Observation) -> None:
    antenna_ids, description_ids = ids("Antenna", observation.antennas), ids("DataDescription", observation.windows)
    windows = len(observation.windows)
    asdm.add(
        "CorrelatorMode",
        correlatorModeId="CorrelatorMode_0",
        numBaseband=windows,
        basebandNames=array(f"BB_{number}" for number in range(1, windows + 1)),
        basebandConfig=array([0] * windows),
        accumMode="FAST",
        binMode=1,
        numAxes=4,
        axesOrderArray=array(["BAL", "ANT", "SPP", "POL"]),
        filterMode=array(["FILTER_TDM"] * windows),
        correlatorName="ALMA_BASELINE",
    )
    asdm.add(
        "Processor",
        processorId="Processor_0",
        modeId="CorrelatorMode_0",
        processorType="CORRELATOR",
        processorSubType="ALMA_CORRELATOR_MODE",
    )
    asdm.add(
        "SwitchCycle",
        switchCycleId="SwitchCycle_0",
        numStep=1,
        weightArray=array([1.0]),
        dirOffsetArray=matrix([[0.0, 0.0]]),
        freqOffsetArray=array([0.0]),
        stepDurationArray=array([0.0]),
    )
    asdm.add(
        "ConfigDescription",
        numAntenna=len(antenna_ids),
        numDataDescription=windows,
        numFeed=1,
        correlationMode="CROSS_AND_AUTO",
        configDescriptionId="ConfigDescription_0",
        numAtmPhaseCorrection=1,
        atmPhaseCorrection=array(["AP_UNCORRECTED"]),
        processorType="CORRELATOR",
        spectralType="FULL_RESOLUTION",
        antennaId=array(antenna_ids),
        dataDescriptionId=array(description_ids),
        feedId=array([0] * len(antenna_ids)),
        processorId="Processor_0",
        switchCycleId=array(["SwitchCycle_0"] * windows),
    )
    asdm.add("State", stateId="State_0", calDeviceName="NONE", sig="true", ref="false", onSky="true", weight=1.0)


def _add_project(asdm: AsdmFolder, observation: Observation) -> None:
    identity = observation.identity
    asdm.add(
        "SBSummary",
        sBSummaryId="SBSummary_0",
        sbSummaryUID=reference(identity.sched_block_uid, "SchedBlock"),
        projectUID=reference(identity.project_uid, "ObsProject"),
        obsUnitSetUID=reference(identity.mous_uid, "ObsUnitSet"),
        frequency=observation.local_oscillator_hz / 1e9,
        frequencyBand=observation.receiver_band,
        sbType="OBSERVER",
        sbDuration=nanoseconds(observation.stop - observation.start),
        numObservingMode=1,
        observingMode=texts(["Standard Interferometry"]),
        numberRepeats=1,
        numScienceGoal=len(observation.science_goals),
        scienceGoal=texts(observation.science_goals),
        numWeatherConstraint=1,
        weatherConstraint=texts(["maxPWVC = 2.0 mm"]),
    )
    positions = [antenna.position for antenna in observation.antennas]
    lengths = [math.dist(first, second) for first, second in combinations(positions, 2)]
    asdm.add(
        "ExecBlock",
        execBlockId="ExecBlock_0",
        startTime=nanoseconds(observation.start),
        endTime=nanoseconds(observation.stop),
        execBlockNum=1,
        execBlockUID=reference(identity.eb_uid, "ASDM"),
        projectUID=reference(identity.project_uid, "ObsProject"),
        configName="A",
        telescopeName="ALMA",
        observerName="demo",
        numObservingLog=1,
        observingLog=texts(["synthetic data"]),
        sessionReference=reference(identity.mous_uid, "OUSStatus"),
        baseRangeMin=min(lengths),
        baseRangeMax=max(lengths),
        baseRmsMinor=1.0,
        baseRmsMajor=1.0,
        basePa=0.0,
        aborted="false",
        numAntenna=len(positions),
        antennaId=array(ids("Antenna", positions)),
        sBSummaryId="SBSummary_0",
    )
    for number, (issue, details) in enumerate((("ACS version", "ONLINE-SYNTH-1"), ("ACS build", "SYNTH-2017-10-01"))):
        time = nanoseconds(observation.start)
        asdm.add("Annotation", annotationId=f"Annotation_{number}", time=time, issue=issue, details=details)


def _add_online_flags(asdm: AsdmFolder, observation: Observation) -> None:
    for number, flag in enumerate(observation.online_flags):
        asdm.add(
            "Flag",
            flagId=f"Flag_{number}",
            startTime=nanoseconds(flag.start),
            endTime=nanoseconds(flag.stop),
            reason=flag.reason,
            numAntenna=1,
            antennaId=array([f"Antenna_{flag.antenna}"]),
        )
