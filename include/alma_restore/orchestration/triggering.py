"""Starts runs of `restore_mous` from inside a task, many in one go.

TriggerDagRunOperator starts one run a task, and a task costs about a second of processor time; a backfill of a month
starts hundreds. This is the one place that speaks to the task supervisor as that operator does (Airflow 3.3,
`task_runner._handle_trigger_dag_run`): a run id that exists already is answered, not created again.
"""

from __future__ import annotations

from typing import Any

from alma_restore.errors import NotAvailable

RESTORE_DAG_ID = "restore_mous"


def trigger_restore(run_id: str, conf: dict[str, Any]) -> bool:
    """Create one run of `restore_mous`; False when that run exists already.

    Raises:
        NotAvailable: the api-server did not create it.
    """
    from airflow.sdk.exceptions import ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    answer = SUPERVISOR_COMMS.send(TriggerDagRun(dag_id=RESTORE_DAG_ID, run_id=run_id, conf=conf))
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error == ErrorType.DAGRUN_ALREADY_EXISTS:
        return False
    raise NotAvailable(f"Airflow did not start the run {run_id}: {answer.error} {answer.detail}.")
