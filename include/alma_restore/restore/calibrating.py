"""Calibrating: from fetched files to verified MeasurementSets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alma_restore.archive.asdm_structure import AsdmFacts, check_asdm
from alma_restore.casa import attempts, installations, job, launchers, outcome, verification
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.base import Handle, JobState
from alma_restore.casa.verification import VerificationReport
from alma_restore.catalogue.records import RequestRecord
from alma_restore.ppr import build, schema
from alma_restore.products import manifest as manifests
from alma_restore.products import staging
from alma_restore.products.manifest import Manifest
from alma_restore.report import compose, facts, plots
from alma_restore.restore.fetching import wanted_products
from alma_restore.restore.house import House, mous_of
from alma_restore.rules import sched_block, sessions
from alma_restore.rules.sessions import Reconciled
from alma_restore.uid import Uid
from alma_restore.workspace import Workspace, write_json


def stage(house: House, request_id: str) -> Manifest:
    """Put everything where the pipeline looks for it, and choose the CASA that restores.

    Raises:
        Corrupt: a product is damaged.
        Inconsistent: the manifest names something that is not there, or other execution blocks than QA0 passed.
        Refused: no suitable CASA is installed.
    """
    workspace = house.workspace(request_id)
    house.report_used(request_id)
    record = house.catalogue.get(request_id)
    files = wanted_products(house.archive.metadata.product_files(mous_of(record)))
    staged = staging.stage(workspace, [workspace.products / file.file_id for file in files])
    reconciled = _sessions(house, mous_of(record), staged.manifest)
    installed = installations.load(house.settings)
    chosen = installations.choose(staged.manifest, installed, asked=record.asked.casa_version)
    house.catalogue.set_casa(request_id, chosen.installation.name, chosen.choice.version, chosen.choice.sentence)
    for difference in reconciled.differences:
        house.catalogue.note(request_id, difference)
    return staged.manifest


def write_ppr(house: House, request_id: str) -> None:
    """Write the PPR of this restore, valid against our schema.

    Raises:
        Refused: no SchedBlock of the MOUS can be named.
        Inconsistent: sessions and manifest disagree.
    """
    workspace = house.workspace(request_id)
    mous_uid = mous_of(house.catalogue.get(request_id))
    metadata = house.archive.metadata
    structure = metadata.project_structure(mous_uid)
    reconciled = _sessions(house, mous_uid, manifests.in_folder(workspace.products))
    content = build.build(
        build.PprInput(
            structure=structure,
            mous_uid=mous_uid,
            sched_block=sched_block.choose(metadata.sched_blocks(mous_uid)),
            sessions=reconciled.sessions,
            root=workspace.root,
            site=house.settings.ppr.processing_site,
            operator=house.settings.ppr.operator,
            created=house.catalogue.get(request_id).created_at,
        )
    )
    schema.validate(content)
    workspace.ppr.write_bytes(content)


def start_casa(house: House, request_id: str) -> Handle:
    """Start CASA on the PPR, or find the run that another process of this task started.

    Raises:
        Misconfigured: it cannot be started.
        NotAvailable: where it should run, nobody answers.
    """
    casa, workspace = house.settings.casa, house.workspace(request_id)
    installation = _installation(house, house.catalogue.get(request_id))
    return job.start_or_attach(launchers.get(casa.launcher, casa), installation, workspace, casa)


def watch_casa(house: House, request_id: str, handle: Handle, on_progress: Callable[[str], None]) -> JobState:
    """Wait for the end of a run.

    Raises:
        CasaFailed: it exceeded a limit, and has been stopped; the log's tail is attached.
    """
    casa = house.settings.casa
    return job.watch(launchers.get(handle.launcher, casa), handle, house.workspace(request_id), casa, on_progress)


def finish_casa(house: House, request_id: str, state: JobState) -> None:
    """Judge an ended run.

    Raises:
        CasaFailed: it ended without all MeasurementSets; the log's tail is attached.
        Corrupt: it failed on damaged raw data.
    """
    outcome.judge(house.workspace(request_id), state)


def cancel_casa(house: House, request_id: str) -> None:
    """Stop the CASA run of this request, if there is one, with everything it started.

    Raises:
        NotAvailable: where it runs, nobody answers.
    """
    folder = house.catalogue.get(request_id).workspace
    if folder and Path(folder).is_dir():
        workspace, casa = Workspace(Path(folder)), house.settings.casa
        known = attempts.latest(workspace)
        job.cancel(launchers.get(known.handle.launcher if known else casa.launcher, casa), workspace)


def verify(house: House, request_id: str) -> VerificationReport:
    """Look into every MeasurementSet, and write restore.json and report.html: what was checked, and what it looks like.

    Raises:
        CasaFailed: a MeasurementSet is missing, not calibrated, or not what the raw data say.
    """
    workspace = house.workspace(request_id)
    record = house.catalogue.get(request_id)
    installation = _installation(house, record)
    raw_data = _raw_facts(workspace)
    verified = verification.verify(workspace, installation, raw_data, house.settings.verification)
    products = wanted_products(house.archive.metadata.product_files(mous_of(record)))
    told = facts.gather(workspace, record, installation, raw_data, [file.file_id for file in products], verified)
    write_json(workspace.report_file, told)
    drawn = plots.draw(workspace, installation, list(raw_data))
    if drawn.missing:
        house.catalogue.note(request_id, drawn.missing)
    compose.write(workspace, installation, told, house.catalogue.stage_timings(request_id), drawn)
    return verified


def _raw_facts(workspace: Workspace) -> dict[Uid, AsdmFacts]:
    uids = [Uid(text) for text in workspace.metadata()["fileSetIds"]]
    return {uid: check_asdm(workspace.rawdata / uid.sanitised) for uid in uids}


def _sessions(house: House, mous_uid: Uid, manifest: Manifest) -> Reconciled:
    numbered = sessions.number_sessions(house.archive.metadata.execution_blocks(mous_uid))
    return sessions.reconcile(numbered, manifest.eb_uids_by_session())


def _installation(house: House, record: RequestRecord) -> Installation:
    return installations.named(record.casa_installation, installations.load(house.settings))
