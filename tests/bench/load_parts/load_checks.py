"""What has to be true when a load has been carried: each broken promise in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
from load_archive import clone
from load_site import SFTP_SITE, LoadSite, over_sftp

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.catalogue.states import DELIVERED
from alma_restore.delivery.checksums import SUMS, read_sums, sha256
from alma_restore.delivery.destination import delivery_name

VAGUE = ("without saying why", "unexpected")
"""What a reason says that is none."""


def broken_promises(site: LoadSite, mous: int, faults: bool) -> list[str]:
    """Everything that is not as it should be.

    Args:
        mous: how many there were to restore, once each.
        faults: some may have failed, with a reason; half of them are delivered over SFTP.
    """
    requests = [*_all(site)]
    return [
        *site.catalogue.contradictions(closing=timedelta(0)),
        *_each_once(requests, mous),
        *_destinations(site, requests, over_sftp(mous) if faults else ()),
        *_ends(requests, faults),
        *_deliveries(site, requests),
        *_leftovers(site, requests),
    ]


def _all(site: LoadSite) -> Iterator[RequestRecord]:
    seen = 0
    while page := site.catalogue.find(limit=500, offset=seen).requests:
        yield from page
        seen += len(page)


def _each_once(requests: list[RequestRecord], mous: int) -> Iterator[str]:
    times = Counter(record.mous_uid for record in requests)
    for number in range(mous):
        uid = clone(number).uid
        if times[uid] != 1:
            yield f"{uid} has {times[uid]} requests."


def _destinations(site: LoadSite, requests: list[RequestRecord], far: Iterable[int]) -> Iterator[str]:
    """Each request, and each delivery, says where it was to go."""
    far_uids = {clone(number).uid for number in far}
    for record in requests:
        root = site.far_folder if record.mous_uid in far_uids else site.settings.delivery_root
        delivery = site.catalogue.delivery(record.id)
        if bool(record.destination) != (record.mous_uid in far_uids):
            yield f"{record.mous_uid} was asked for with the destination {record.destination or 'of everybody'}."
        if delivery and _folder(delivery).parent != root:
            yield f"{delivery.path} does not lie in {root}."


def _folder(delivery: DeliveryRecord) -> Path:
    """Where it lies on this machine, which the far end is as well."""
    return Path(delivery.path.removeprefix(f"sftp://{SFTP_SITE}/"))


def _ends(requests: list[RequestRecord], faults: bool) -> Iterator[str]:
    for record in requests:
        if not record.ended:
            yield f"{record.mous_uid} is still {record.state} in {record.stage}."
        elif record.state not in DELIVERED and not faults:
            yield f"{record.mous_uid} {record.state}: {record.reason}"
        elif record.state not in DELIVERED and (not record.reason or any(word in record.reason for word in VAGUE)):
            yield f"{record.mous_uid} {record.state} without its true reason: {record.reason}"


def _deliveries(site: LoadSite, requests: list[RequestRecord]) -> Iterator[str]:
    """Nothing but deliveries, each whole and each known; at the far end also what may still become one."""
    known = {}
    for record in requests:
        delivery = site.catalogue.delivery(record.id)
        if delivery:
            known[_folder(delivery)] = record
    roots = site.settings.delivery_root, site.far_folder
    there = {path for root in roots if root.is_dir() for path in root.iterdir()}
    for path in sorted(there - known.keys() - {*_unfinished(site, requests)}):
        yield f"{path.name} lies among the deliveries and belongs to none."
    for path, record in known.items():
        if record.state not in DELIVERED:
            yield f"{path.name} is delivered, and its request {record.state}."
        sums = read_sums((path / SUMS).read_text()) if (path / SUMS).is_file() else None
        if sums is None:
            yield f"{path.name} has no {SUMS}."
        elif wrong := [name for name, digest in sums.items() if sha256(path / name) != digest]:
            yield f"{path.name}: {', '.join(wrong)} fail their checksums."


def _unfinished(site: LoadSite, requests: list[RequestRecord]) -> Iterator[Path]:
    """What the far end may keep of requests that were not delivered, for their next try."""
    for record in requests:
        if record.state not in DELIVERED and record.mous_uid:
            yield site.far_folder / f".{delivery_name(record.mous_uid, record.id)}.part"


def _leftovers(site: LoadSite, requests: list[RequestRecord]) -> Iterator[str]:
    """Workspaces stay for what failed alone, and no process works in any."""
    kept = {Path(record.workspace).name for record in requests if record.state not in DELIVERED}
    spool = site.settings.spool_root
    for folder in sorted(spool.iterdir()) if spool.is_dir() else ():
        if folder.name not in kept:
            yield f"The spool still holds {folder.name}."
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            places = [process.environ().get("ALMA_RESTORE_JOB", ""), process.cwd(), *process.cmdline()]
            if any(str(spool) in place for place in places):
                yield f"A process is left: {process.pid} {process.cmdline()}"
