"""The operator that runs CASA: it survives its own worker, and takes CASA down with it when it is cancelled."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperator

from alma_restore.orchestration.open_house import open_house
from alma_restore.orchestration.stages import stage


class RunCasaOperator(BaseOperator):
    """Runs CASA on the PPR of one request.

    CASA is a job of its own, outside the task's process; its handle lies in the workspace. A retry after a lost worker
    finds the running job again. Marking the task or the run as failed stops the job with everything it started.

    Args:
        request: what `open_request` returned.
    """

    template_fields = ("request",)

    def __init__(self, *, request: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request = request

    def execute(self, context: Any) -> dict[str, Any]:
        from alma_restore.restore import calibrating

        with stage("run_casa", self.request["request_id"]) as house:
            calibrating.run_casa(house, self.request["request_id"], self.log.info)
        return {"request_id": self.request["request_id"]}

    def on_kill(self) -> None:
        from alma_restore.restore import calibrating

        if isinstance(self.request, dict):
            self.log.info("The task is being stopped: stopping CASA as well.")
            calibrating.cancel_casa(open_house(), self.request["request_id"])
