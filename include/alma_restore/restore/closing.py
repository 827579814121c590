"""Closing: delivery, the end that is stored, the mail, and the clean-up."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

from alma_restore import log_fields
from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.catalogue.states import DELIVERED
from alma_restore.delivery import contents, destination, folder, sftp
from alma_restore.errors import DeliveryFailed, Misconfigured, NotAvailable, Refused
from alma_restore.restore import calibrating, last_words, telling
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
    house.report_used(request_id)
    record = house.catalogue.get(request_id)
    where = destination.check(record.destination, house.settings)
    eb_uids = [Uid(text) for text in workspace.metadata()["fileSetIds"]]
    files = contents.gather(workspace, mous_of(record), eb_uids, record.asked.split, record.asked.tar)
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


def close(house: House, request_id: str, stopped: str = "") -> RequestRecord:
    """Whatever happened: see that an end is stored, tell the requester, give back the disk, clean up by policy.

    Args:
        stopped: how somebody stopped the restore; empty: a request without an end has lost its task.
    """
    record = house.catalogue.get(request_id)
    log_fields.bind(record.id, record.mous_uid, "close_request")
    casa_is_gone = stop_casa(house, record)
    if not record.ended:
        record = _end(house, record, stopped)
    if record.stage == "deliver" and record.state not in DELIVERED:
        _clear_up_delivery(house, record)
    telling.tell_end(house, record)
    house.catalogue.release(request_id)
    if casa_is_gone and not is_kept(house, record):
        try:
            remove_workspace(house, record)
        except OSError as error:
            house.catalogue.note(record.id, f"The workspace stays until it can be removed: {error}.")
    return record


def remove_workspace(house: House, record: RequestRecord) -> None:
    """Remove the workspace of an ended request; tried again, it begins from its first stage."""
    workspace = Workspace(Path(record.workspace))
    workspace.remove()
    if not workspace.root.exists():  # else it has been tried again at this very moment
        house.catalogue.set_workspace(record.id, "")


def stop_casa(house: House, record: RequestRecord) -> bool:
    """Stop what CASA still does for a request that is to end, or has ended.

    Returns:
        Whether that is certain. Where CASA's machine does not answer the order stands, and `clean_spool` asks again, as
        it does where the spool takes no order.
    """
    try:
        calibrating.cancel_casa(house, record.id)
    except (NotAvailable, Misconfigured, OSError) as error:
        house.catalogue.note(record.id, f"CASA cannot be stopped yet. {error}")
        return False
    return True


def is_kept(house: House, record: RequestRecord) -> bool:
    """Whether the workspace of an ended request stays for a while (`keep_workspace`); there may be none."""
    keep = house.settings.keep_workspace
    return not record.workspace or keep == "always" or (keep == "on_failure" and record.state not in DELIVERED)


def _clear_up_delivery(house: House, record: RequestRecord) -> None:
    """Remove what a delivery that was killed left hidden in its folder; at a far end it waits for the next try."""
    try:
        where = destination.check(record.destination, house.settings)
        if isinstance(where, destination.FolderDestination):
            known = house.catalogue.delivery(record.id)
            name, stands = destination.delivery_name(mous_of(record), record.id), known and known.removed_at is None
            folder.clear_up(where.root, name, is_known=bool(stands))
    except (Refused, DeliveryFailed) as error:
        house.catalogue.note(record.id, f"What the delivery left is not cleared up. {error}")


def _end(house: House, record: RequestRecord, stopped: str) -> RequestRecord:
    if stopped:
        return house.catalogue.cancel(record.id, stopped)
    return house.catalogue.fail(record.id, last_words.lost(record), record.stage)
