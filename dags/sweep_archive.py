"""Walk through the whole archive, slowly, for what the detection windows missed.

**What it does.** Judges every calibration of the archive, some each time, and starts the restore of each restorable one
that has no request yet: re-deliveries under an old date, rows that came late, changed QA0 verdicts. It goes on where it
stopped, and starts over when it is through.

**Parameters.** None. `sweep.schedule` and `sweep.time_limit_s` in the settings say when and for how long. It is paused
until somebody unpauses it: on an archive with a history, a sweep asks for every restore that was never made.

**When it fails.** *sweep*: the archive's database does not answer; the next run goes on from the same place.

**Try it.** `./run demo --serve`, then unpause and trigger it: it finds nothing that detection has not.
"""

from __future__ import annotations

from airflow.sdk import dag

from alma_restore.orchestration import detection_tasks as tasks


@dag(
    schedule=tasks.sweep_schedule(),
    start_date=tasks.FIRST_DAY,
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["detection"],
    doc_md=__doc__,
)
def sweep_archive() -> None:
    tasks.trigger_restores(tasks.sweep())


sweep_archive()
