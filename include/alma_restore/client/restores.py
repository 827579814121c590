"""What the client tells of one restore, from the catalogue or from Airflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord, request_number
from alma_restore.catalogue.states import DELIVERED, ENDS, State
from alma_restore.client.rest import asked_at
from alma_restore.errors import Refused
from alma_restore.uid import Uid

STAGES = (
    "open_request",
    "prepare_workspace",
    "fetch_asdm",
    "fetch_products",
    "stage",
    "write_ppr",
    "run_casa",
    "verify",
    "deliver",
)
"""The stages of a restore in their order, as the catalogue names them."""

_STATE_OF_RUN: Mapping[str, State] = {
    "queued": "accepted",
    "running": "running",
    "success": "delivered",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class RestoreStatus:
    """How one restore fares.

    Attributes:
        state: `accepted`, `running`, `delivered`, `delivered_with_warnings`, `refused`, `failed`, `cancelled` or
            `expired`.
        stage: the stage it is in, or in which it ended.
        progress: the share of its stages that are done, 0 to 1.
        number: what people quote; None until the request is stored.
        run_id: the Airflow run that carries it out.
        mous_uid: None until an execution block has been looked up.
        reason, remedy, log_tail: why it ended badly, what to do, and the end of the log that shows it.
        workspace: the spool folder; empty until there is one.
        delivered_to: where the calibrated data are.
        told_by: `catalogue`, or `airflow` where the catalogue is out of reach: then reasons are in Airflow's logs only.
    """

    state: State
    stage: str = ""
    progress: float = 0.0
    number: int | None = None
    request_id: str = ""
    run_id: str = ""
    correlation_id: str = ""
    mous_uid: Uid | None = None
    eb_uid: Uid | None = None
    email: str = ""
    requested_by: str = ""
    reason: str = ""
    remedy: str = ""
    log_tail: str = field(default="", repr=False)
    warnings: tuple[str, ...] = ()
    workspace: str = ""
    casa_policy: str = ""
    delivered_to: str = ""
    size_bytes: int | None = None
    expires_at: datetime | None = None
    created_at: datetime | None = None
    ended_at: datetime | None = None
    told_by: Literal["catalogue", "airflow"] = "catalogue"

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def delivered(self) -> bool:
        return self.state in DELIVERED

    def as_json(self) -> dict[str, Any]:
        """All of it for machines; times as ISO text."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }


def from_catalogue(record: RequestRecord, delivery: DeliveryRecord | None = None) -> RestoreStatus:
    """What the catalogue tells of a request."""
    return RestoreStatus(
        state=record.state,
        stage=record.stage,
        progress=1.0 if record.state in DELIVERED else _progress(record.stage),
        number=record.number,
        request_id=record.id,
        run_id=record.run_id or "",
        correlation_id=record.correlation_id,
        mous_uid=record.mous_uid,
        eb_uid=record.eb_uid,
        email=record.email,
        requested_by=record.requested_by,
        reason=record.reason,
        remedy=record.remedy,
        log_tail=record.log_tail,
        warnings=tuple(record.warnings),
        workspace=record.workspace,
        casa_policy=record.casa_policy,
        delivered_to=delivery.path if delivery else "",
        size_bytes=delivery.size_bytes if delivery else None,
        expires_at=delivery.expires_at if delivery else None,
        created_at=record.created_at,
        ended_at=record.ended_at,
    )


def from_run(run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]] = (), **told: Any) -> RestoreStatus:
    """What Airflow tells of a run of `restore_mous`.

    Args:
        run, tasks: as the REST API gives them.
        told: what the tasks returned: `request_id`, `workspace`, `delivered_to`.
    """
    conf = run["conf"] or {}
    done = [task for task in tasks if task["state"] == "success"]
    at_work = [task["task_id"] for task in tasks if task["state"] in ("running", "deferred", "failed", "up_for_retry")]
    state = _STATE_OF_RUN.get(str(run["state"]), "running")
    if state == "delivered" and any(task["state"] == "skipped" for task in tasks):
        state = "cancelled"  # marked failed before it delivered: its clean-up alone has run to its end, and well
    return RestoreStatus(
        state=state,
        stage=at_work[0] if at_work else "",
        progress=len(done) / len(tasks) if tasks else float(state == "delivered"),
        number=request_number(told["request_id"]) if told.get("request_id") else None,
        run_id=run["dag_run_id"],
        correlation_id=str(conf.get("correlation_id", "")),
        mous_uid=_uid(conf.get("mous_uid")),
        eb_uid=_uid(conf.get("eb_uid")),
        email=str(conf.get("email") or ""),
        requested_by=str(conf.get("requested_by") or run["triggering_user_name"] or ""),
        reason="Its run failed in Airflow; the log of the failed task has the reason." if state == "failed" else "",
        created_at=asked_at(run),
        ended_at=_time(run["end_date"]),
        told_by="airflow",
        **told,
    )


def _progress(stage: str) -> float:
    return STAGES.index(stage) / len(STAGES) if stage in STAGES else 0.0


def _uid(text: Any) -> Uid | None:
    try:
        return Uid(text) if text else None
    except Refused:
        return None


def _time(text: str | None) -> datetime | None:
    # Python 3.10 does not read the Z of UTC.
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
