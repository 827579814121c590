"""Writes an observation as an ASDM, ALMA's raw data format, so that importasdm reads every value back as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from asdm_bdf import BdfHeader, Integration, write_bdf
from asdm_folder import AsdmFolder, array, interval, matrix, nanoseconds, reference
from asdm_tables import add_observation_tables, ids
from observation import Observation, Scan, iso_time


def write_asdm(path: Path, observation: Observation, integrations: Callable[[Scan], Iterable[Integration]]) -> None:
    """Write one execution block.

    Args:
        path: the ASDM's folder; one that exists is replaced.
        integrations: gives the data of one scan, integration after integration.
    """
    asdm = AsdmFolder(path, observation.identity.eb_uid, iso_time(observation.start) + ".000000000")
    add_observation_tables(asdm, observation)
    for number, scan in enumerate(observation.scans, start=1):
        _add_scan(asdm, observation, number, scan)
        _add_data(asdm, observation, number, scan, integrations(scan))
    asdm.close()


def _add_scan(asdm: AsdmFolder, observation: Observation, number: int, scan: Scan) -> None:
    calibrates = [intent.startswith("CALIBRATE") for intent in scan.intents]
    span = {"startTime": nanoseconds(scan.start), "endTime": nanoseconds(observation.scan_stop(scan))}
    source_name = observation.sources[scan.source].name
    asdm.add(
        "Scan",
        scanNumber=number,
        **span,
        numIntent=len(scan.intents),
        numSubscan=1,
        scanIntent=array(scan.intents),
        calDataType=array("CHANNEL_AVERAGE_CROSS" if calibrates_it else "NONE" for calibrates_it in calibrates),
        calibrationOnLine=array(str(calibrates_it).lower() for calibrates_it in calibrates),
        sourceName=source_name,
        execBlockId="ExecBlock_0",
    )
    asdm.add(
        "Subscan",
        scanNumber=number,
        subscanNumber=1,
        **span,
        fieldName=source_name,
        subscanIntent="ON_SOURCE",
        numIntegration=scan.integrations,
        numSubintegration=array([0] * scan.integrations),
        execBlockId="ExecBlock_0",
    )
    for antenna_id in ids("Antenna", observation.antennas):
        asdm.add(
            "Pointing",
            antennaId=antenna_id,
            timeInterval=interval(scan.start, observation.scan_stop(scan)),
            numSample=1,
            encoder=matrix([[0.1, 1.0]]),
            pointingTracking="true",
            usePolynomials="false",
            timeOrigin=nanoseconds(scan.start),
            numTerm=1,
            pointingDirection=matrix([[0.1, 1.0]]),
            target=matrix([[0.1, 1.0]]),
            offset=matrix([[0.0, 0.0]]),
            pointingModelId=0,
        )


def _add_data(
    asdm: AsdmFolder, observation: Observation, number: int, scan: Scan, integrations: Iterable[Integration]
) -> None:
    """Write the scan's binary file, and the row of Main that names it."""
    header = BdfHeader(
        uid=asdm.new_uid(),
        eb_uid=asdm.uid,
        project_path=f"1/{number}/1/",
        start=scan.start,
        integrations=scan.integrations,
        integration_s=observation.integration_s,
        antennas=len(observation.antennas),
        windows=len(observation.windows),
        channels=observation.windows[0].channels,
    )
    size_bytes = write_bdf(asdm.bdf_path(header.uid), header, integrations)
    stop = observation.scan_stop(scan)
    asdm.add(
        "Main",
        time=nanoseconds((scan.start + stop) / 2),
        numAntenna=header.antennas,
        timeSampling="INTEGRATION",
        interval=nanoseconds(stop - scan.start),
        numIntegration=scan.integrations,
        scanNumber=number,
        subscanNumber=1,
        dataSize=size_bytes,
        dataUID=reference(header.uid, "BinaryData"),
        configDescriptionId="ConfigDescription_0",
        execBlockId="ExecBlock_0",
        fieldId=f"Field_{scan.source}",
        stateId=array(["State_0"] * header.antennas),
    )
