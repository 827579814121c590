"""Decide before CASA starts what is restored and with which products; refuse what cannot end well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import calapply_reader
import manifest_reader
import tar_products
from intents import APPLIED, NOT_APPLIED
from ppr_reader import ExecutionBlock, Request
from signs import corrupt, misconfigured, refused

_OTHER_ENGINE = "Use an installation with the `pipeline` engine."

# What hifa_restoredata takes from a PPR, and its defaults; `asis` is the pipeline's ALMA default.
_OPTIONS = {
    "asis": "SBSummary ExecBlock Antenna Annotation Station Receiver Source CalAtmosphere CalWVR CalPointing Pointing",
    "bdfflags": "True",
    "copytoraw": "True",
    "lazy": "False",
    "ocorr_mode": "ca",
}

_PARAMETERS = {
    "hifa_restoredata": set(_OPTIONS),
    "hif_mstransform": {"chanbin", "field", "intent", "spw", "timebin"},
    "hifa_exportdata": {"products_dir"},
}

# What a PPR may ask of this engine. What is split off lies beside the rest in working/; there is no more to export.
_PROCEDURES = {tuple(list(_PARAMETERS)[:count]) for count in (1, 2, 3)}


@dataclass(frozen=True)
class EbJob:
    """The restore of one execution block, as restore_eb.py gets it (JSON).

    Attributes:
        asdm, flagversions, calapply: paths.
        import_options: options of importasdm.
        parang: correct for the parallactic angle; polarization calibration needs it.
        split: parameters of hif_mstransform as the PPR spells them; None: nothing is split off.
    """

    asdm: str
    flagversions: str
    calapply: str
    import_options: Mapping[str, Any]
    parang: bool
    split: Mapping[str, str] | None

    @property
    def eb(self) -> str:
        return Path(self.asdm).name

    @property
    def raw_bytes(self) -> int:
        return sum(path.stat().st_size for path in Path(self.asdm, "ASDMBinary").glob("*"))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """Attributes:
    caltables: the tar file of each session that has an execution block.
    """

    manifest: manifest_reader.Manifest
    working: Path
    caltables: tuple[Path, ...]
    jobs: tuple[EbJob, ...]

    def unpack_caltables(self) -> None:
        """Unpack each session's tables once.

        Raises:
            RestoreFailed: a tar file is damaged, or a table that is to be applied is in none.
        """
        for archive in self.caltables:
            tar_products.unpack(archive, self.working)
        archives = ", ".join(archive.name for archive in self.caltables)
        for job in self.jobs:
            for table in (table for call in calapply_reader.read(Path(job.calapply)) for table in call.tables):
                if not (self.working / table).is_dir():
                    raise corrupt(job.eb, f"The table {table}, which {job.eb} needs, is not in {archives}.")


def make_plan(request: Request, working: Path) -> Plan:
    """Hold the PPR, the manifest and the folders against each other.

    Args:
        working: the folder we run in.

    Raises:
        RestoreFailed: something is missing or contradictory, or needs the other engine.
    """
    _check_folders(request, working)
    restore, split = _read_commands(request)
    options = {name: _value(restore.get(name) or default) for name, default in _OPTIONS.items()}
    rawdata = request.folder / "rawdata"
    products = request.folder / "products" if options.pop("copytoraw") else rawdata
    manifest = manifest_reader.read(manifest_reader.find((rawdata, products)))
    if manifest.procedure.startswith("hsd"):
        raise refused(request.mous, f"{request.mous} is single-dish data. {_OTHER_ENGINE}")
    filed = {block: _products_of(block, manifest) for block in request.execution_blocks}
    calls = [call for found in filed.values() for call in calapply_reader.read(products / found.calapply)]
    _check_intents(calls)
    polarization = any(".hifa_polcal." in table for call in calls for table in call.tables)
    tar_files = dict.fromkeys(manifest.caltables_of(block.session) for block in request.execution_blocks)
    for name in [*tar_files, *(found.flagversions for found in filed.values())]:
        if not (products / name).is_file():
            raise corrupt(name, f"{name}, which the manifest names, is not in {products.name}/.")
    return Plan(
        manifest=manifest,
        working=working,
        caltables=tuple(products / name for name in tar_files),
        jobs=tuple(
            EbJob(
                asdm=str(rawdata / block.asdm),
                flagversions=str(products / found.flagversions),
                calapply=str(products / found.calapply),
                import_options=options,
                parang=polarization,
                split=split,
            )
            for block, found in filed.items()
        ),
    )


def _check_folders(request: Request, working: Path) -> None:
    """We run in the PPR's own working/, all raw data are there, and no MeasurementSet of an earlier run is."""
    expected = request.folder / "working"
    if not expected.is_dir() or not expected.samefile(working):
        raise misconfigured(request.mous, f"The PPR is for {expected}, not for {working}: mend RelativePath.")
    for block in request.execution_blocks:
        if not (request.folder / "rawdata" / block.asdm / "ASDM.xml").is_file():
            raise corrupt(block.asdm, f"The raw data of {block.asdm} are not in rawdata/.")
        for left_over in (block.ms, f"{block.ms}.flagversions"):
            if (working / left_over).exists():
                raise misconfigured(block.asdm, f"{left_over} of an earlier run is in working/: empty working/ first.")


def _read_commands(request: Request) -> tuple[dict[str, str], dict[str, str] | None]:
    """The parameters of the restore, and those of the split after it, if one is asked for."""
    names = [name for name, _ in request.commands]
    if tuple(names) not in _PROCEDURES:
        asked = ", ".join(names)
        raise refused(asked, f"The `casatasks` engine knows no procedure {asked}. {_OTHER_ENGINE}")
    parameters = dict(request.commands)
    for name, known in _PARAMETERS.items():
        if unknown := sorted(set(parameters.get(name, {})) - known):
            asked = f"{name}({unknown[0]})"
            raise refused(asked, f"The `casatasks` engine knows no parameter {unknown[0]} of {name}. {_OTHER_ENGINE}")
    return parameters["hifa_restoredata"], parameters.get("hif_mstransform")


def _value(text: str) -> bool | str:
    return {"True": True, "False": False}.get(text, text)


def _products_of(block: ExecutionBlock, manifest: manifest_reader.Manifest) -> manifest_reader.Products:
    found = manifest.products_of(block.ms, block.session)
    if found.renormalised:
        why = f"The calibration renormalised {block.asdm} (hifa_renorm); its restore has to do so again."
        raise refused(block.asdm, f"{why} {_OTHER_ENGINE}")
    return found


def _check_intents(calls: list[calapply_reader.ApplyCall]) -> None:
    unheard = {word for call in calls for word in call.intents} - set(APPLIED) - NOT_APPLIED
    if unheard:
        word = sorted(unheard)[0]
        raise refused(word, f"The `casatasks` engine knows no intent {word}. {_OTHER_ENGINE}")
