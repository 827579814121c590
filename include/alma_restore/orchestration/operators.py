"""The operator that runs CASA: it survives its own worker, and takes CASA down with it when it is cancelled."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import timedelta
from typing import Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from alma_restore.casa.launchers.base import Handle, JobState, Launcher
from alma_restore.errors import CasaFailed, NotAvailable
from alma_restore.orchestration.open_house import open_house
from alma_restore.orchestration.stages import stage
from alma_restore.restore.house import House
from alma_restore.uid import Uid


class RunCasaOperator(BaseOperator):
    """Runs CASA on a PPR of the request that this run carries out.

    CASA is a job of its own, outside the task's process; its handle lies in the workspace. A retry after a lost worker
    finds the running job again. Marking the task or the run as failed stops the job with everything it started.

    A job on a cluster is waited for by a trigger, without a worker; so is a cluster that does not answer.

    The first execution block that fails stops the CASA runs of the others.

    Args:
        restores: the MOUS, or the execution block, that this CASA run restores: one of what `write_ppr` returned.

    Attributes:
        request_id: of the request; empty until its stage begins.
    """

    template_fields = ("restores",)

    def __init__(self, *, restores: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.restores = restores
        self.request_id = ""

    def execute(self, context: Any) -> None:
        self.start(context)

    def start(self, context: Any, event: Any = None, silent_since: float | None = None) -> None:
        """Start CASA, or find it again, and wait for its end.

        Args:
            silent_since: when the cluster was first found silent.
        """
        from alma_restore.casa import launchers
        from alma_restore.restore import calibrating

        with self._stage() as house:
            casa = house.settings.casa
            try:
                handle = calibrating.start_casa(house, self.request_id, self._uid)
            except NotAvailable as error:
                silent_since = silent_since or time.time()
                launcher = launchers.get(casa.launcher, casa)
                if not launcher.detached or time.time() - silent_since > casa.patience_s:
                    raise
                self._start_later(launcher, error, silent_since)
            if launchers.get(handle.launcher, casa).detached:
                self._wait_without_worker(house, handle)
            state = calibrating.watch_casa(house, self.request_id, self._uid, handle, self.log.info)
            calibrating.finish_casa(house, self.request_id, self._uid, state)

    def finish(self, context: Any, event: dict[str, Any]) -> None:
        """Judge how the job ended that `CasaJobTrigger` waited for."""
        from alma_restore.restore import calibrating

        with self._stage() as house:
            if "given_up" in event:
                raise CasaFailed(**event["given_up"])
            calibrating.finish_casa(house, self.request_id, self._uid, JobState(**event["state"]))

    def on_kill(self) -> None:
        from alma_restore.restore import calibrating

        if self.request_id:
            self.log.info("The task is being stopped: stopping CASA as well.")
            calibrating.cancel_casa(open_house(), self.request_id, self._uid)

    @contextmanager
    def _stage(self) -> Iterator[House]:
        from alma_restore.restore import calibrating

        house = open_house()
        try:
            with stage("run_casa", house) as self.request_id, calibrating.naming(house, self.request_id, self._uid):
                yield house
        except AirflowFailException:
            if self.request_id:
                with suppress(NotAvailable):  # what cannot be reached ends by itself; its end is of no account
                    calibrating.cancel_casa(house, self.request_id)
            raise

    @property
    def _uid(self) -> Uid:
        return Uid(self.restores)

    def _wait_without_worker(self, house: House, handle: Handle) -> NoReturn:
        from alma_restore.casa import attempts
        from alma_restore.orchestration.triggers import CasaJobTrigger
        from alma_restore.restore import calibrating

        workspace = calibrating.run_of(house, self.request_id, self._uid)
        trigger = CasaJobTrigger(str(workspace.root), asdict(handle), attempts.claim(workspace))
        self.defer(trigger=trigger, method_name="finish")

    def _start_later(self, launcher: Launcher, error: NotAvailable, silent_since: float) -> NoReturn:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.warning("%s It will be tried again in %s s.", error.sentence, launcher.poll_s)
        trigger = TimeDeltaTrigger(timedelta(seconds=launcher.poll_s))
        self.defer(trigger=trigger, method_name="start", kwargs={"silent_since": silent_since})
