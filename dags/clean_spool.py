"""Remove expired deliveries and forgotten workspaces.

**What it does.** Tells requesters whose delivery is about to expire, removes deliveries beyond their time
(`delivery.keep_days`) that nobody asked to keep, ends requests whose run ended without a word, gives back their disk,
mails for three days what could not be mailed when a request ended, stops CASA where that could not be done then, and
removes workspaces of requests that ended long ago (`workspace_keep_days`).

**Parameters.** None.

**When it fails.** A delivery that cannot be removed is named in the log and tried again tomorrow; nothing else is
touched.

**Try it.** `./run demo --serve`, then trigger it: everything is still kept.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import dag

from alma_restore.orchestration import housekeeping_tasks as tasks


@dag(
    schedule="30 4 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["housekeeping"],
    doc_md=__doc__,
)
def clean_spool() -> None:
    tasks.end_lost_requests() >> tasks.tell_ends_again()
    tasks.remove_old_workspaces()
    tasks.warn_before_expiry() >> tasks.expire_deliveries()


clean_spool()
