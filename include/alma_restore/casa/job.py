"""One restore's CASA run: start it once, find it again, follow it to its end, stop it."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

from alma_restore.casa import attempts, launchers, outcome
from alma_restore.casa.attempts import Attempt
from alma_restore.casa.casa_home import casa_home
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle, Job, JobState, Launcher, Places
from alma_restore.casa.watching import Progress, Watch
from alma_restore.errors import NotAvailable, RestoreError
from alma_restore.ppr.build import PROCEDURE
from alma_restore.products import manifest as manifests
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

_PLACES = ".casa-places"
_LEFT_IN_PRODUCTS = ("errorexit-*.txt", f"*.{PROCEDURE}.weblog.tgz")
"""What the pipeline puts beside the delivered products when it fails."""
_BLOCK_BYTES = 1024 * 1024


def for_restore(installation: Installation, workspace: Workspace, casa: CasaSettings, attempt: int) -> Job:
    """The command line, the environment and the limits of one CASA run.

    The cores are for one run that restores several execution blocks; runs of one each share them on their machine.

    Source: DOMAIN sections 12 and 13.
    """
    cores = 1 if workspace.is_part else casa.cores
    return Job(
        name=f"restore_{workspace.root.name}",
        argv=installation.argv(workspace.ppr, cores),
        env=environment(installation, workspace),
        cwd=workspace.working.resolve(),  # CASA makes every path absolute: it must be of this attempt alone
        folder=attempts.folder(workspace, attempt),
        cores=cores,
        memory_bytes=casa.memory_bytes,
        time_limit_s=casa.time_limit_s,
        niceness=casa.niceness,
        places=Places(workspace.spool / _PLACES, casa.cores) if workspace.is_part else None,
    )


def environment(installation: Installation, workspace: Workspace) -> dict[str, str]:
    """All that CASA is told by its environment: nothing of ours but PATH and LANG, no secret, no other CASA's settings.

    Raises:
        Misconfigured: the installation's Python cannot be used.
    """
    home = workspace.root / "home"
    home.mkdir(exist_ok=True)
    packages = casa_home(home, installation.python) if installation.python and not installation.home else {}
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "HOME": str(home),
        "SCIPIPE_ROOTDIR": str(workspace.root),
        "SCIPIPE_LOGDIR": str(workspace.logs),
        **packages,
        **installation.environment,
    }


def start_or_attach(launcher: Launcher, installation: Installation, workspace: Workspace, casa: CasaSettings) -> Handle:
    """The job that runs this PPR on these data with this CASA, or has run it well; started if there is none.

    However often a task is killed and tried again, CASA runs once. Each new attempt starts in an empty working/ of its
    own: CASA takes a MeasurementSet that it finds as it is, and an earlier attempt may come back with its machine.

    Raises:
        Misconfigured: the job cannot be started.
        NotAvailable: the launcher does not answer now; asked again it finds what it may have started.
    """
    key = _key(workspace, installation)
    with attempts.alone(workspace):
        known = attempts.latest(workspace)
        if known:
            its = launcher if known.handle.launcher == launcher.name else launchers.get(known.handle.launcher, casa)
            if not known.handle.job_id:
                known = replace(known, handle=its.find(known.handle) or known.handle)
            if known.key == key and _is_wanted(its, known, workspace):
                attempts.note(workspace, known)
                return known.handle
            _make_way(its, known.handle)
        number = known.number + 1 if known else 1
        attempt = Attempt(number, key, Handle(launcher.name, job_id="", folder=str(attempts.folder(workspace, number))))
        attempts.note(workspace, attempt)  # before the start: whoever comes after a crash right here can cancel it
        _clear(workspace)
        job = for_restore(installation, workspace, casa, number)
        _head_log(job, workspace, number)
        handle = launcher.submit(job)
        attempts.note(workspace, replace(attempt, handle=handle))
        return handle


def watch(
    launcher: Launcher, handle: Handle, workspace: Workspace, casa: CasaSettings, on_progress: Progress
) -> JobState:
    """Follow a job to its end.

    Args:
        on_progress: gets each new line of the log.

    Returns:
        Its last state: ended, well or not; `outcome.judge` tells which.

    Raises:
        CasaFailed: it took too long, or showed no sign of life; it has been stopped.
        NotAvailable: its machine is lost; `start_or_attach` starts it anew.
    """
    watching = Watch(launcher, handle, workspace, casa, on_progress)
    while (state := watching.look()).phase != "ended":
        time.sleep(launcher.poll_s)
    return state


def cancel(launcher: Launcher, workspace: Workspace, claim: int | None = None) -> None:
    """Stop the CASA run of a workspace, with everything it started; none is fine.

    Args:
        claim: only if nobody has claimed the run since.
    """
    if workspace.logs.is_dir():
        with attempts.alone(workspace):
            known = attempts.latest(workspace)
            if known and claim in (None, known.claim):
                launcher.cancel(known.handle)


def _key(workspace: Workspace, installation: Installation) -> str:
    """Tells runs apart that must not be taken for each other: by the CASA, the PPR, and all that CASA reads.

    Products count by their content: the archive can deliver a calibration anew under the same names, and whoever stages
    the same one once more has to find its run. Raw data, which are far larger, count by names and sizes: the archive
    never changes them, and verification holds each MeasurementSet against them; one that was exported again as it was
    leads to the same run.
    """
    digest = hashlib.sha256("\0".join([installation.name, *installation.command]).encode())
    products, raw_data = _read_by_casa(workspace)
    for file in (workspace.ppr, *filter(Path.is_file, products)):
        _add(digest, file)
        with file.open("rb") as content:
            while block := content.read(_BLOCK_BYTES):
                digest.update(block)
    for folder in raw_data:
        for file in sorted(filter(Path.is_file, folder.rglob("*"))):
            _add(digest, file)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, file: Path) -> None:
    digest.update(f"\0{file.name}\0{file.stat().st_size}\0".encode())


def _read_by_casa(workspace: Workspace) -> tuple[list[Path], list[Path]]:
    """Products, and folders of raw data: what the manifest names, not what a run leaves beside it."""
    products, raw_data = sorted(workspace.products.glob("*.auxproducts.tgz")), []
    for path in sorted(workspace.products.glob(manifests.NAME_PATTERN)):
        manifest = manifests.read(path)
        products += [path, *(workspace.products / name for name in manifest.needed)]
        raw_data += [workspace.rawdata / asdm.eb_uid.sanitised for asdm in manifest.asdms]
    return products, raw_data


def _is_wanted(launcher: Launcher, attempt: Attempt, workspace: Workspace) -> bool:
    """Is this attempt still at work, or has it ended well?"""
    if not attempt.handle.job_id:
        return False
    state = launcher.poll(attempt.handle)
    if state.phase != "ended":
        return state.phase != "lost"
    try:
        outcome.judge(workspace, state)
    except RestoreError:
        return False
    return True


def _make_way(launcher: Launcher, handle: Handle) -> None:
    """Stop an attempt, so that another can begin; one that is lost obeys when it comes back."""
    try:
        launcher.cancel(handle)
    except NotAvailable:
        if launcher.poll(handle).phase != "lost":
            raise


def _head_log(job: Job, workspace: Workspace, attempt: int) -> None:
    """Begin CASA's log with what it is about, in the words of our own logs."""
    about = workspace.metadata() if workspace.metadata_file.exists() else {}
    fields = {"request_id": about.get("requestId"), "mous_uid": about.get("ousStatusId"), "stage": "run_casa"}
    job.folder.mkdir(parents=True, exist_ok=True)
    job.log.write_text(" ".join(f"{name}={value or ''}" for name, value in fields.items()) + f" attempt={attempt}\n")


def _clear(workspace: Workspace) -> None:
    """Take away what an earlier attempt left: its MeasurementSets, its signs of failure and its weblog."""
    workspace.empty_working()
    for left in _LEFT_IN_PRODUCTS:
        for file in workspace.products.glob(left):
            file.unlink()
