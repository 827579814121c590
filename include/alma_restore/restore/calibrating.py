"""Calibrating: from fetched files to verified MeasurementSets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alma_restore.archive.asdm_structure import AsdmFacts, check_asdm, spectral_windows
from alma_restore.casa import attempts, installations, job, launchers, outcome, verification
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle, JobState
from alma_restore.casa.verification import VerificationReport
from alma_restore.catalogue.records import RequestRecord
from alma_restore.errors import CasaFailed, Corrupt, NotAvailable, Refused, RestoreError
from alma_restore.ppr import build, commands, schema
from alma_restore.products import calapply, staging
from alma_restore.products import manifest as manifests
from alma_restore.products.manifest import Manifest
from alma_restore.report import compose, facts, plots
from alma_restore.restore import parts
from alma_restore.restore.fetching import wanted_products
from alma_restore.restore.house import House, mous_of
from alma_restore.rules import sched_block, sessions
from alma_restore.rules.sessions import Reconciled
from alma_restore.split import SplitOptions, window_numbers
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace, write_json, write_whole


def stage(house: House, request_id: str) -> Manifest:
    """Put everything where the pipeline looks for it, and choose the CASA that restores.

    Raises:
        Corrupt: a product is damaged.
        Inconsistent: the manifest names something that is not there, or other execution blocks than QA0 passed.
        Refused: no suitable CASA is installed, there are no calibrated data of what is to be split off, or its spectral
            windows have other numbers in another execution block.
        Misconfigured: no registered CASA can verify what that one makes.
    """
    workspace = house.workspace(request_id)
    house.report_used(request_id)
    record = house.catalogue.get(request_id)
    files = wanted_products(house.archive.metadata.product_files(mous_of(record)))
    staged = staging.stage(workspace, [workspace.products / file.file_id for file in files])
    reconciled = _sessions(house, mous_of(record), staged.manifest)
    if split := record.asked.split:
        for asdm in staged.manifest.asdms:
            calapply.check_split(calapply.read(workspace.products / asdm.calapply), split, asdm.eb_uid)
        if split.spw:
            _check_windows(workspace, [asdm.eb_uid for asdm in staged.manifest.asdms], split)
    installed = installations.load(house.settings)
    chosen = installations.choose(staged.manifest, installed, asked=record.asked.casa_version)
    _looking(house, chosen.installation)
    house.catalogue.set_casa(request_id, chosen.installation.name, chosen.choice.version, chosen.choice.sentence)
    for difference in reconciled.differences:
        house.catalogue.note(request_id, difference)
    return staged.manifest


def write_ppr(house: House, request_id: str) -> tuple[Uid, ...]:
    """Write the PPR of this restore, valid against our schema.

    Returns:
        What gets a CASA job: the MOUS, or each of its execution blocks (setting `casa.jobs`).

    Raises:
        Refused: no SchedBlock of the MOUS can be named.
        Inconsistent: sessions and manifest disagree.
    """
    workspace, record = house.workspace(request_id), house.catalogue.get(request_id)
    mous_uid = mous_of(record)
    metadata = house.archive.metadata
    structure = metadata.project_structure(mous_uid)
    reconciled = _sessions(house, mous_uid, manifests.in_folder(workspace.products))
    asked = build.PprInput(
        structure=structure,
        mous_uid=mous_uid,
        sched_block=sched_block.choose(metadata.sched_blocks(mous_uid)),
        sessions=reconciled.sessions,
        root=workspace.root,
        site=house.settings.ppr.processing_site,
        operator=house.settings.ppr.operator,
        created=record.created_at,
        commands=commands.restore_and_split(record.asked.split),
    )
    content = build.build(asked)
    schema.validate(content)
    write_whole(workspace.ppr, content)
    if house.settings.casa.jobs == "eb":
        _cancel(house, workspace)  # of an earlier attempt, when the setting was another one
        parts.make(workspace, asked)
        return asked.eb_uids
    for part in workspace.parts:
        _cancel(house, part)
    workspace.remove_parts()
    return (mous_uid,)


def start_casa(house: House, request_id: str, uid: Uid) -> Handle:
    """Start CASA on a PPR, or find the run that another process of this task started.

    Args:
        uid: what this run of CASA restores, one of those that `write_ppr` told.

    Raises:
        Misconfigured: it cannot be started.
        NotAvailable: where it should run, nobody answers.
    """
    casa, workspace = house.settings.casa, run_of(house, request_id, uid)
    installation = _installation(house, house.catalogue.get(request_id))
    return job.start_or_attach(launchers.get(casa.launcher, casa), installation, workspace, casa)


def watch_casa(house: House, request_id: str, uid: Uid, handle: Handle, on_progress: Callable[[str], None]) -> JobState:
    """Wait for the end of a run.

    Raises:
        CasaFailed: it exceeded a limit, and has been stopped; the log's tail is attached.
    """
    casa, workspace = house.settings.casa, run_of(house, request_id, uid)
    return job.watch(launchers.get(handle.launcher, casa), handle, workspace, casa, on_progress)


def finish_casa(house: House, request_id: str, uid: Uid, state: JobState) -> None:
    """Judge an ended run.

    Raises:
        CasaFailed: it ended without all MeasurementSets; the log's tail is attached.
        Corrupt: it failed on damaged raw data.
    """
    run = run_of(house, request_id, uid)
    known = attempts.latest(run)
    if known and known.peak_memory_bytes:
        house.catalogue.set_casa_peak(request_id, known.peak_memory_bytes)
    outcome.judge(run, state)


def cancel_casa(house: House, request_id: str, uid: Uid | None = None) -> None:
    """Stop the CASA runs of this request that there are, with everything they started.

    Args:
        uid: only the one that restores this.

    Raises:
        NotAvailable: where one runs, nobody answers; the others are stopped.
    """
    record = house.catalogue.get(request_id)
    if not record.workspace or not Path(record.workspace).is_dir():
        return
    whole = Workspace(Path(record.workspace))
    failure = None
    for workspace in (*whole.parts, whole) if uid is None else (run_of(house, request_id, uid),):
        try:
            _cancel(house, workspace)
        except NotAvailable as error:
            failure = error
    if failure:
        raise failure


@contextmanager
def naming(house: House, request_id: str, uid: Uid) -> Iterator[None]:
    """Errors of an execution block's own CASA run name it."""
    try:
        yield
    except RestoreError as error:
        named = uid in error.sentence or uid.sanitised in error.sentence
        if not named and run_of(house, request_id, uid).is_part:
            error.sentence = f"{uid}: {error.sentence}"
        raise


def verify(house: House, request_id: str) -> VerificationReport:
    """Look into every MeasurementSet, and write restore.json and report.html: what was checked, and what it looks like.

    Raises:
        CasaFailed: a MeasurementSet is missing, not calibrated, or not what the raw data say. CASA's runs are rejected:
            the next start is a new one.
        Corrupt: raw data have been damaged meanwhile; the same.
        NotAvailable: they could not be read now.
    """
    workspace = house.workspace(request_id)
    house.report_used(request_id)
    parts.gather(workspace)
    record = house.catalogue.get(request_id)
    installation = _installation(house, record)
    looks = _looking(house, installation)
    try:
        raw_data = _raw_facts(workspace)
        verified = verification.verify(workspace, looks, raw_data, house.settings.verification, record.asked.split)
    except (CasaFailed, Corrupt):
        for run in workspace.runs:
            attempts.reject(run)
        raise
    products = wanted_products(house.archive.metadata.product_files(mous_of(record)))
    told = facts.gather(workspace, record, installation, looks, raw_data, [file.file_id for file in products], verified)
    write_json(workspace.report_file, told)
    drawn = plots.draw(workspace, looks, list(raw_data))
    if drawn.missing:
        house.catalogue.note(request_id, drawn.missing)
    compose.write(workspace, installation, told, house.catalogue.stage_timings(request_id), drawn)
    return verified


def run_of(house: House, request_id: str, uid: Uid) -> Workspace:
    """The workspace in which CASA restores this: an execution block's part, or the MOUS's."""
    workspace = house.workspace(request_id)
    return workspace if uid == house.catalogue.get(request_id).mous_uid else workspace.part(uid)


def _check_windows(workspace: Workspace, eb_uids: Iterable[Uid], split: SplitOptions) -> None:
    """Make sure that the number of a spectral window means the same one in every execution block.

    Raises:
        Refused: it does not; who asks by number would get other data of some execution blocks.
    """
    windows = {uid: spectral_windows(workspace.rawdata / uid.sanitised) for uid in eb_uids}
    for number in sorted(window_numbers(split.spw)):
        meant = [(uid, of_one[number]) for uid, of_one in windows.items() if number < len(of_one)]
        for uid, window in meant[1:]:
            first_uid, first = meant[0]
            if not window.is_of_the_setup_of(first):
                raise Refused(
                    f"Spectral window {number} is {first} in {first_uid}, but {window} in {uid}.",
                    code="bad_request",
                    remedy="Ask for the split without numbers of spectral windows, or for the restore without a split.",
                )


def _cancel(house: House, workspace: Workspace) -> None:
    casa, known = house.settings.casa, attempts.latest(workspace)
    job.cancel(launchers.get(known.handle.launcher if known else casa.launcher, casa), workspace)


def _raw_facts(workspace: Workspace) -> dict[Uid, AsdmFacts]:
    uids = [Uid(text) for text in workspace.metadata()["fileSetIds"]]
    return {uid: check_asdm(workspace.rawdata / uid.sanitised) for uid in uids}


def _sessions(house: House, mous_uid: Uid, manifest: Manifest) -> Reconciled:
    numbered = sessions.number_sessions(house.archive.metadata.execution_blocks(mous_uid))
    return sessions.reconcile(numbered, manifest.eb_uids_by_session())


def _looking(house: House, restores: Installation) -> Installation:
    return installations.for_looking(restores, installations.registered(house.settings))


def _installation(house: House, record: RequestRecord) -> Installation:
    return installations.named(record.casa_installation, installations.load(house.settings))
