"""Find newly calibrated MOUSs and have them restored.

**What it does.** Asks the archive which MOUSs completed calibration in the window that ends with the data interval,
decides for each whether it can be restored, remembers the decision with its reason, and starts one `restore_mous` run
for each new restorable one. Windows overlap (`detection.window_days`), and nothing is started twice: what is known is
told by the MOUS uid and its set of product files.

**Parameters.** None. The data interval says which window is looked at, so that a backfill looks at the past:
`airflow backfill create --dag-id detect_calibrations --from-date 2024-01-01 --to-date 2024-02-01`.

**When it fails.** *find_calibrations*: the archive's database does not answer; the next interval looks again, two days
back. *trigger_restores*: Airflow's api-server. While `restore_mous` is paused, its runs wait.

**Try it.** `./run demo`.
"""

from __future__ import annotations

from airflow.sdk import dag

from alma_restore.orchestration import detection_tasks as tasks


@dag(
    schedule=tasks.schedule(),
    start_date=tasks.FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    tags=["detection"],
    doc_md=__doc__,
)
def detect_calibrations() -> None:
    tasks.trigger_restores(tasks.find_calibrations())


detect_calibrations()
