"""The trigger that waits for a CASA job on a cluster, while no worker is kept busy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from alma_restore import log_fields
from alma_restore.casa import job, launchers
from alma_restore.casa.launchers.base import Handle
from alma_restore.casa.watching import Watch
from alma_restore.errors import RestoreError
from alma_restore.settings import settings
from alma_restore.workspace import Workspace


class CasaJobTrigger(BaseTrigger):
    """Fires when a CASA job has ended, or had to be given up.

    It knows nothing but what it was given and what lies in the workspace: a triggerer that restarts, or another one,
    goes on from there, and the job goes on meanwhile. Only a user who fails, clears or marks the task stops the job.

    Args:
        workspace: the folder of the restore.
        handle: of the job, as a dictionary.
        claim: of the task that waits; a job that another task has claimed since is left alone.
    """

    def __init__(self, workspace: str, handle: dict[str, Any], claim: int) -> None:
        super().__init__()
        self.workspace = workspace
        self.handle = handle
        self.claim = claim

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"workspace": self.workspace, "handle": self.handle, "claim": self.claim}
        return f"{type(self).__module__}.{type(self).__qualname__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        casa, handle = settings().casa, Handle(**self.handle)
        about = self._folder.metadata() if self._folder.metadata_file.exists() else {}
        log_fields.bind(about.get("requestId", ""), about.get("ousStatusId"), "run_casa")
        try:
            launcher = launchers.get(handle.launcher, casa)
            watch = Watch(launcher, handle, self._folder, casa, self.log.info)
            while (state := await asyncio.to_thread(watch.look)).phase != "ended":
                await asyncio.sleep(launcher.poll_s)
        except RestoreError as error:
            told = {"sentence": error.sentence, "remedy": error.remedy, "log_tail": error.log_tail}
            yield TriggerEvent({"given_up": told})
        else:
            yield TriggerEvent({"state": asdict(state)})

    async def on_kill(self) -> None:
        self.log.info("The task is being stopped: stopping CASA as well.")
        launcher = launchers.get(Handle(**self.handle).launcher, settings().casa)
        await asyncio.to_thread(job.cancel, launcher, self._folder, self.claim)

    @property
    def _folder(self) -> Workspace:
        return Workspace(Path(self.workspace))
