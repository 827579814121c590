"""Opening: what is asked for, may it be done, and is there room for it?"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from alma_restore import log_fields
from alma_restore.archive.records import Calibration, ExecutionBlock
from alma_restore.casa import installations
from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import DELIVERED
from alma_restore.delivery import destination
from alma_restore.errors import Misconfigured, Refused
from alma_restore.request import UNASKED, RestoreRequest, readable_email
from alma_restore.restore.house import House, mous_of
from alma_restore.rules import disk, eligibility
from alma_restore.uid import Uid
from alma_restore.units import size
from alma_restore.workspace import Workspace, folder_name

PRODUCT_CLASSES = ("calibration", "script")


def asker(told: str, user: str | None) -> str:
    """Who asks: the one whom the request names; when somebody else started its run, they are named as well."""
    return told if not user or user == told else f"{told}, through {user}".removeprefix(", through ")


def store_request(house: House, fields: Mapping[str, Any], run_id: str | None) -> RequestRecord:
    """Store the request before anything else is done with it; one run or correlation id is one request.

    What cannot be read as a request is stored as refused. A second run with the words of a first one (as Airflow's
    "Trigger again with this config" makes it) is a new wish once that request has ended, and refused while it goes on.
    """
    try:
        request = RestoreRequest.parse(fields)
    except Refused as refusal:
        email = readable_email(fields.get("email"))
        return house.catalogue.open_unreadable(fields, refusal, run_id=run_id, email=email)
    record = house.catalogue.open_request(request, run_id)
    if run_id in (None, record.run_id):
        return record
    again = house.catalogue.open_request(request.model_copy(update={"correlation_id": run_id}), run_id)
    if record.ended or again.ended:
        return again
    same = Refused(
        f"Request {record.number} does the same, and goes on.",
        code="already_requested",
        remedy="Wait for it, or cancel it and trigger this one again.",
    )
    return house.catalogue.fail(again.id, same, "open_request")


def waits_for_disk(record: RequestRecord) -> bool:
    """Whether a request has been admitted and has no workspace yet: a retry of its task goes on from there."""
    return record.state == "running" and record.stage == "prepare_workspace"


def admit(house: House, request_id: str) -> None:
    """Decide whether this request can be carried out.

    Raises:
        Refused: unknown uid, not restorable (DOMAIN section 2), CASA version not installed, destination not allowed;
            found by detection, and delivered to somebody who had asked for it.
    """
    record = house.catalogue.get(request_id)
    request = record.asked
    calibration = house.archive.metadata.calibration(_mous(house, request))
    verdict = eligibility.judge(calibration)
    record = house.catalogue.identify(request_id, calibration.mous_uid, calibration.fingerprint)
    log_fields.bind(request_id, calibration.mous_uid, "open_request")
    if not verdict.restorable:
        raise Refused(verdict.sentence, code=verdict.code)
    _refuse_what_a_person_has_got(house, record)
    destination.check(request.destination, house.settings)
    if request.casa_version:
        installations.among(request.casa_version, installations.load(house.settings))


def _refuse_what_a_person_has_got(house: House, record: RequestRecord) -> None:
    """What detection or a backfill has found can wait in Airflow for days: somebody may have got it meanwhile.

    What is only under way does not count: it may come to nothing, and detection asks for a calibration once.
    """
    if record.asked.origin not in UNASKED:
        return
    for other in house.catalogue.find(states=DELIVERED, uid=record.mous_uid, limit=1000).requests:
        if other.origin not in UNASKED and other.options == record.options:
            raise Refused(f"Request {other.number} has delivered the same already.", code="already_requested")


def prepare(house: House, request_id: str) -> Workspace:
    """Make the workspace, with its metadata.json, and reserve the disk that the whole request will need.

    The metadata's `fileSetIds` are the execution blocks to restore.

    Raises:
        NotAvailable: too little disk is free now; when others have finished there will be more.
        Misconfigured: the spool's disk is too small for this restore, or cannot be written.
    """
    record = house.catalogue.get(request_id)
    calibration = house.archive.metadata.calibration(mous_of(record))
    spool = house.settings.spool_root
    workspace = Workspace(_folder(spool, record, calibration))
    spool.mkdir(parents=True, exist_ok=True)
    needed, spare = _bytes_needed(house, record, calibration), house.settings.disk.spare_bytes
    total = shutil.disk_usage(spool).total
    if needed + spare > total:
        raise Misconfigured(
            f"This restore needs {size(needed)} of disk, {size(spare)} stay free; {spool} has {size(total)} in all.",
            remedy="Give the spool a larger disk (ALMA_RESTORE_SPOOL), or look at the settings of `disk`.",
        )
    _reserve(house, request_id, needed)
    house.catalogue.set_workspace(request_id, str(workspace.root))  # first: what nobody knows of, nobody removes
    workspace.create(_metadata(house, record, calibration))
    return workspace


def _folder(spool: Path, record: RequestRecord, calibration: Calibration) -> Path:
    """A request keeps its workspace until that is removed, though another execution block be the first one by now."""
    known = Path(record.workspace)
    return known if known.parent == spool else spool / folder_name(calibration.passed[0].uid, record.created_at)


def promise_disk_again(house: House, record: RequestRecord) -> None:
    """A restore that is run again from the middle gets its promise of disk anew: its end had given it back.

    Raises:
        NotAvailable: too little disk is free now; when others have finished there will be more.
    """
    there = record.workspace and Workspace(Path(record.workspace)).metadata_file.exists()
    if not there or house.catalogue.is_promised(record.id):
        return
    calibration = house.archive.metadata.calibration(mous_of(record))
    _reserve(house, record.id, _bytes_needed(house, record, calibration), house.bytes_used(record.id))


def _reserve(house: House, request_id: str, needed: int, used: int = 0) -> None:
    spool = house.settings.spool_root
    house.catalogue.reserve(
        request_id,
        spool,
        needed,
        used_bytes=used,
        free_bytes=lambda: shutil.disk_usage(spool).free,
        spare_bytes=house.settings.disk.spare_bytes,
    )


def _mous(house: House, request: RestoreRequest) -> Uid:
    if request.eb_uid is None:
        if request.mous_uid is None:
            raise Refused("The request names no MOUS.", code="bad_request")
        return request.mous_uid
    found = house.archive.metadata.mous_of_execution_block(request.eb_uid)
    if request.mous_uid is not None and request.mous_uid != found:
        raise Refused(
            f"{request.eb_uid} belongs to {found}, not to {request.mous_uid}.",
            code="bad_request",
            remedy="Give only one of mous_uid and eb_uid.",
        )
    return found


def _bytes_needed(house: House, record: RequestRecord, calibration: Calibration) -> int:
    raw = sum(_raw_bytes(house, block) for block in calibration.passed)
    products = sum(file.size_bytes or 0 for file in calibration.files if file.file_class in PRODUCT_CLASSES)
    wanted = house.settings.disk
    return disk.needed(raw, products, wanted.factor + (wanted.split_factor if record.asked.split else 0))


def _raw_bytes(house: House, block: ExecutionBlock) -> int:
    known = house.archive.raw_bytes(block.uid)
    return house.settings.disk.unknown_eb_bytes if known is None else known


def _metadata(house: House, record: RequestRecord, calibration: Calibration) -> dict[str, Any]:
    """The words of NRAO's StartWorkflow metadata (DOMAIN section 13), and our request id."""
    structure = house.archive.metadata.project_structure(calibration.mous_uid)
    return {
        "workflowName": "AlmaOusRestoreWorkflow",
        "processingSite": house.settings.ppr.processing_site,
        "deliveryFormat": record.asked.delivery_format,
        "telescope": "ALMA",
        "fileSetIds": [block.uid for block in calibration.passed],
        "ousStatusId": calibration.mous_uid,
        "projectCodeOrDataType": structure.project_code,
        "cliCorrId": record.correlation_id,
        "requestId": record.id,
        "preparedAt": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
