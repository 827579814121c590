"""Closing: delivery, the end that is stored, the mail, and the clean-up."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.catalogue.states import DELIVERED
from alma_restore.delivery import contents, destination, folder, sftp
from alma_restore.errors import RestoreError
from alma_restore.mail import compose, send
from alma_restore.restore import calibrating
from alma_restore.restore.house import House, mous_of
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace


def deliver(house: House, request_id: str) -> DeliveryRecord:
    """Hand the calibrated data over, all at once and with checksums; a second time changes nothing.

    Raises:
        Refused: the destination is not allowed (any more).
        DeliveryFailed: it cannot be written; nothing is left there under the final name.
    """
    workspace = house.workspace(request_id)
    record = house.catalogue.get(request_id)
    where = destination.check(record.destination, house.settings)
    eb_uids = [Uid(text) for text in workspace.metadata()["fileSetIds"]]
    files = contents.gather(workspace, mous_of(record), eb_uids)
    name = destination.delivery_name(mous_of(record), request_id)
    if isinstance(where, destination.SftpDestination):
        delivered = sftp.deliver(files, where, name, partial(house.open_sftp, where.conn_id))
        expires_at = None  # what lies at the far end is not ours to remove
    else:
        delivered = folder.deliver(files, where.root, name)
        expires_at = datetime.now(timezone.utc) + timedelta(days=house.settings.delivery.keep_days)
    delivery = house.catalogue.record_delivery(
        request_id,
        destination=str(where),
        path=delivered.path,
        size_bytes=delivered.size_bytes,
        files=delivered.files,
        sha256=delivered.sha256,
        expires_at=expires_at,
    )
    house.catalogue.finish(request_id, json.loads(workspace.report_file.read_text())["warnings"])
    return delivery


def close(house: House, request_id: str, cancelled: bool = False) -> RequestRecord:
    """Whatever happened: see that an end is stored, tell the requester, give back the disk, clean up by policy.

    Args:
        cancelled: somebody stopped the restore; otherwise a request without an end has lost its task.
    """
    record = house.catalogue.get(request_id)
    if not record.ended:
        calibrating.cancel_casa(house, request_id)
        record = _end(house, record, cancelled)
    _tell(house, record)
    house.catalogue.release(request_id)
    _clean_up(house, record)
    return record


def _end(house: House, record: RequestRecord, cancelled: bool) -> RequestRecord:
    if cancelled:
        return house.catalogue.cancel(record.id, f"Stopped during {record.stage or 'its start'}.")
    lost = RestoreError(
        f"The task of the stage {record.stage or 'open_request'} ended without saying why.",
        remedy="It was killed, or its machine was lost: clear it in Airflow to run it again.",
    )
    return house.catalogue.fail(record.id, lost, record.stage)


def _tell(house: House, record: RequestRecord) -> None:
    """Mail the requester, once for each attempt; a mail that cannot be sent is noted, and changes nothing else."""
    occasion = compose.occasion_of(record)
    if occasion is None or not record.email:
        return
    delivery = house.catalogue.delivery(record.id)
    names = sorted(path.name for path in Workspace(Path(record.workspace)).products.glob("*.ms")) if delivery else []
    message = compose.compose(occasion, record, house.settings.mail, delivery=delivery, measurement_sets=names)
    noted = {line.note for line in house.catalogue.history(record.id) if line.at >= _attempt_began(house, record)}
    if send.note(message) not in noted:
        house.catalogue.note(record.id, send.send(message, house.send_mail).note)


def _attempt_began(house: House, record: RequestRecord) -> datetime:
    return max(line.at for line in house.catalogue.history(record.id) if line.state == "accepted")


def _clean_up(house: House, record: RequestRecord) -> None:
    keep = house.settings.keep_workspace
    went_well = record.state in DELIVERED
    if record.workspace and (keep == "never" or (keep == "on_failure" and went_well)):
        Workspace(Path(record.workspace)).remove()
