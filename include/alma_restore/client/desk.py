"""The desk: ask for restores, follow them, stop them, run them again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from alma_restore.catalogue.records import RequestRecord
from alma_restore.catalogue.states import IllegalTransition, State
from alma_restore.catalogue.store import Catalogue
from alma_restore.client.reach import reachable_catalogue
from alma_restore.client.rest import RESTORE_DAG_ID, AirflowRest, Credentials
from alma_restore.client.restores import RestoreStatus, from_catalogue, from_run
from alma_restore.errors import NotAvailable, Refused
from alma_restore.request import RestoreRequest, run_id_of
from alma_restore.restore import again
from alma_restore.settings import Settings, settings
from alma_restore.uid import Uid

POLL_S = 1.0
PATIENCE_S = 600.0
"""How long somebody who waits puts up with an Airflow that does not answer."""

CLEAN_UP_S = 120.0
"""How long the clean-up after a restore may keep the next attempt waiting."""

_LOOK_AT_RUN = 15
"""At every so many polls Airflow is asked as well."""

_RUNS_OF_STATE = {
    "accepted": "queued",
    "running": "running",
    "delivered": "success",
    "cancelled": "success",  # its clean-up alone ended well
    "failed": "failed",
}
_LAST_TASK = "deliver"

_A_BATCH = 100


class Desk:
    """Where restores are asked for.

    Args:
        airflow: the Airflow that carries them out.
        catalogue: tells how they fare; None where it is out of reach: then Airflow does, with less to tell.
    """

    def __init__(self, airflow: AirflowRest, catalogue: Catalogue | None) -> None:
        self.airflow = airflow
        self.catalogue = catalogue

    @classmethod
    def opened(cls, here: Settings | None = None) -> Desk:
        """The desk of this installation, as settings and environment tell."""
        here = here or settings()
        return cls(AirflowRest(here.airflow_url, Credentials.from_environment()), reachable_catalogue(here))

    def request(self, request: RestoreRequest) -> tuple[RestoreStatus, bool]:
        """Ask for a restore.

        Returns:
            How it fares, and whether it is a new one: False when it was asked for under this correlation id before.

        Raises:
            Refused: Airflow does not take it.
            NotAvailable: Airflow does not answer; asking again under the same correlation id cannot double it.
        """
        dag = self.airflow.dag(RESTORE_DAG_ID)
        if dag is None or dag["is_paused"]:
            what = "is paused" if dag else "is not there"
            raise Refused(
                f"The DAG {RESTORE_DAG_ID} {what} in Airflow, so that nothing would happen.",
                code="dag_paused" if dag else "not_found",
                remedy="Unpause it." if dag else "`alma-restore doctor` tells more.",
            )
        if self.airflow.trigger(request.run_id, request.as_conf()):
            asked = RestoreStatus(
                "accepted",
                run_id=request.run_id,
                correlation_id=request.correlation_id,
                mous_uid=request.mous_uid,
                eb_uid=request.eb_uid,
                email=request.email or "",
                told_by="airflow",
            )
            return asked, True
        return self.status(request.run_id), False

    def status(self, which: str) -> RestoreStatus:
        """How one restore fares.

        Args:
            which: its number, request id, run id or correlation id; of an MOUS or execution block uid the newest one.

        Raises:
            Refused: (code `unknown_request`) there is none, or (`ambiguous`) the number is that of several.
        """
        record = self._record(which)
        if record is not None and self.catalogue is not None:
            return from_catalogue(record, self.catalogue.delivery(record.id))
        run = self._run(which)
        if run is None:
            remedy = (
                "`alma-restore list` shows them." if self.catalogue else f"Airflow at {self.airflow.url} was asked."
            )
            raise Refused(f"There is no restore {which[:200]!r}.", code="unknown_request", remedy=remedy)
        return self._status_of_run(run)

    def restores(
        self,
        *,
        states: Collection[State] = (),
        uid: str = "",
        email: str = "",
        since: datetime | None = None,
        limit: int = 20,
    ) -> list[RestoreStatus]:
        """The newest restores that fit all of what is given."""
        wanted = Uid(uid) if uid else None
        if self.catalogue is not None:
            found = self.catalogue.find(states=states, uid=wanted, email=email, since=since, limit=limit)
            return [from_catalogue(record, self.catalogue.delivery(record.id)) for record in found.requests]
        in_airflow = tuple({_RUNS_OF_STATE[state] for state in states if state in _RUNS_OF_STATE})
        if states and not in_airflow:
            return []
        runs = self.airflow.runs(conf_contains=wanted or email, states=in_airflow, since=since)
        fitting = (
            told
            for told in self._told_of(runs)
            if (not states or told.state in states) and email in ("", told.email) and _is_for(told, wanted)
        )
        return list(islice(fitting, limit))

    def cancel(self, which: str, note: str = "Cancelled by the asker.") -> RestoreStatus:
        """Stop a restore with everything it started.

        Raises:
            Refused: (code `ended`) it has ended already.
        """
        told = self.status(which)
        if told.state == "cancelled" and self._still_runs(told.run_id):  # Airflow did not hear of it the first time
            self.airflow.stop(told.run_id)
            return told
        if told.ended:
            raise Refused(f"The restore {which!r} has ended already: it is {told.state}.", code="ended")
        has_run = bool(told.run_id) and self.airflow.note(told.run_id, note)  # also tells whether we may
        if self.catalogue is not None and told.request_id:
            try:
                # before its tasks die, so that their death is not taken for a failure
                told = from_catalogue(self.catalogue.cancel(told.request_id, note))
            except IllegalTransition:  # it ended at this very moment
                return self.status(told.request_id)
        if has_run:
            self.airflow.stop(told.run_id)
        return replace(told, state="cancelled", reason=told.reason or note)

    def retry(self, which: str, from_start: bool = False) -> RestoreStatus:
        """Run an ended restore again: what had not been done, or everything.

        A cancelled or expired one always starts anew, for its workspace is gone, and so does any other whose workspace
        has been removed; Airflow alone does not tell that.

        Raises:
            Refused: (code `running`) it has not ended, or (`delivered`) there is nothing to repeat.
        """
        told = self.status(which)
        if not told.ended:
            raise Refused(f"The restore {which!r} has not ended: it is {told.state}.", code="running")
        if told.delivered and not from_start:
            remedy = "Repeat it from its start, or ask for it anew."
            raise Refused(f"The restore {which!r} is delivered.", code="delivered", remedy=remedy)
        self._wait_for_clean_up(told)
        record = self._by_id(told.request_id)  # as its clean-up leaves it
        is_gone = record is not None and not record.workspace
        anew = from_start or is_gone or told.state in ("cancelled", "expired")
        tasks = again.to_be_cleared(self.airflow.task_instances(told.run_id), anew)
        self.airflow.clear(told.run_id, tasks or [again.FIRST_TASK])
        if self.catalogue is None or not told.request_id:
            return replace(told, state="accepted", stage="", reason="", ended_at=None)
        with suppress(IllegalTransition):  # its first task was quicker
            self.catalogue.reopen(told.request_id, "Asked to run again.")
        return self.status(told.request_id)

    def wait(
        self,
        which: str,
        on_change: Callable[[RestoreStatus], None] = lambda _: None,
        timeout_s: float | None = None,
        until: Callable[[RestoreStatus], bool] = lambda told: told.ended,
    ) -> RestoreStatus:
        """Wait for a restore's end, or for something else to come about.

        An Airflow or a catalogue that does not answer for a while is waited for, too.

        Args:
            on_change: told of each new state, stage or step of progress.
            timeout_s: how long; None: as long as it takes.
            until: what is waited for; an end always suffices.

        Raises:
            NotAvailable: it took too long, or nobody answered for ten minutes.
        """
        started = answered = time.monotonic()
        last: tuple[object, ...] = ()
        polls = 0
        while True:
            polls += 1
            try:
                told = self._status_with_run(which) if polls % _LOOK_AT_RUN == 0 else self.status(which)
            except NotAvailable:
                if time.monotonic() - answered > PATIENCE_S:
                    raise
            else:
                answered = time.monotonic()
                if (now := (told.state, told.stage, told.progress)) != last:
                    on_change(told)
                    last = now
                if told.ended or until(told):
                    return told
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                raise NotAvailable(f"The restore {which!r} did not end within {timeout_s:g} s; it goes on.")
            time.sleep(POLL_S)

    def _still_runs(self, run_id: str) -> bool:
        run = self.airflow.run(run_id) if run_id else None
        return run is not None and run["state"] in ("queued", "running")

    def _wait_for_clean_up(self, told: RestoreStatus) -> None:
        """Wait until the run of an ended restore has cleaned up: it would take the next attempt for this one.

        Raises:
            Refused: (code `not_found`) there is no run any more.
            NotAvailable: it takes too long.
        """
        started = time.monotonic()
        while (run := self.airflow.run(told.run_id) if told.run_id else None) is not None:
            if run["state"] not in ("queued", "running"):
                return
            if time.monotonic() - started > CLEAN_UP_S:
                raise NotAvailable(f"The run {told.run_id} is still cleaning up.", remedy="Try again later.")
            time.sleep(POLL_S)
        raise Refused(
            f"The restore {told.correlation_id} has no Airflow run any more.", code="not_found", remedy="Ask anew."
        )

    def _status_with_run(self, which: str) -> RestoreStatus:
        """How a restore fares, also when its run ended in Airflow and nobody was left to store that."""
        run = self.airflow.run(self.status(which).run_id)
        told = self.status(which)
        if told.ended or run is None or run["state"] in ("queued", "running"):
            return told
        reason = f"Its run ended in Airflow ({run['state']}), and nobody stored how."
        return replace(told, state="failed", reason=reason, remedy="Airflow's log of the run has the reason; retry it.")

    def _record(self, which: str) -> RequestRecord | None:
        """The request that somebody means, from the catalogue."""
        if self.catalogue is None:
            return None
        found = self.catalogue.by_correlation_id(which) or self.catalogue.by_run_id(which)
        if found is None and which.isdecimal():
            several = self.catalogue.numbered(int(which))
            if len(several) > 1:
                ids = ", ".join(record.id for record in several)
                raise Refused(f"{which} is the number of several restores: {ids}.", code="ambiguous")
            found = several[0] if several else None
        if found is None and (uid := _as_uid(which)):
            newest = self.catalogue.find(uid=uid, limit=1).requests
            found = newest[0] if newest else None
        return found or self._by_id(which)

    def _by_id(self, which: str) -> RequestRecord | None:
        try:
            return self.catalogue.get(which) if self.catalogue else None
        except Refused:
            return None

    def _run(self, which: str) -> dict[str, Any] | None:
        if uid := _as_uid(which):
            return next((run for run in self.airflow.runs(conf_contains=uid) if _is_for(from_run(run), uid)), None)
        return self.airflow.run(which) or self.airflow.run(run_id_of(which))

    def _told_of(self, runs: Iterable[dict[str, Any]]) -> Iterator[RestoreStatus]:
        """What Airflow tells of runs; which of them were cancelled takes one question more for a hundred."""
        remaining = iter(runs)
        while batch := list(islice(remaining, _A_BATCH)):
            succeeded = [run for run in batch if run["state"] == "success"]
            skipped = self.airflow.skipped(_LAST_TASK, succeeded) if succeeded else {}
            for run in batch:
                task = skipped.get(run["dag_run_id"])
                yield from_run(run, [task] if task else [])

    def _status_of_run(self, run: dict[str, Any]) -> RestoreStatus:
        run_id = run["dag_run_id"]
        opened = self.airflow.xcom(run_id, again.FIRST_TASK, "opened") or {}
        return from_run(
            run,
            self.airflow.task_instances(run_id),
            request_id=str(opened.get("request_id", "")),
            workspace=str(opened.get("workspace", "")),
            delivered_to=str(self.airflow.xcom(run_id, _LAST_TASK) or ""),
        )


def _is_for(told: RestoreStatus, wanted: Uid | None) -> bool:
    """Whether a restore is for this MOUS or execution block; None: any is."""
    return wanted is None or wanted in (told.mous_uid, told.eb_uid)


def _as_uid(text: str) -> Uid | None:
    try:
        return Uid(text)
    except Refused:
        return None
