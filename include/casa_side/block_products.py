"""Makes one execution block: raw data, and for a Pass block its calibration, its products and its reference."""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from mous_spec import BlockSpec, MousSpec
from synthetic_sky import write_synthetic_asdm


@dataclass(frozen=True)
class MadeBlock:
    """What the products of the whole MOUS need of one calibrated execution block.

    Attributes:
        folder: where its calibration tables are.
        products: names of its own product files.
    """

    spec: BlockSpec
    folder: Path
    caltables: tuple[str, ...]
    products: tuple[str, ...]
    phase_flux_jy: tuple[float, ...]


def make_block(mous: MousSpec, block: BlockSpec, archive: Path, folder: Path) -> MadeBlock | None:
    """Write one execution block into the archive, calibrating it in `folder`; None for one that is not Pass."""
    asdm = archive / "asdm" / block.vis.removesuffix(".ms")
    observation = write_synthetic_asdm(asdm, mous.identity(block), block.started, mous.sizes, mous.block_seed(block))
    if block not in mous.passed:
        return None
    folder.mkdir()
    os.chdir(folder)
    # CASA is imported here, not above: it keeps its log in the folder that is current then.
    import lean_casatasks  # noqa: F401 - makes `from casatasks import` quick
    from ms_snapshot import save
    from toy_calibration import calibrate

    calibration = calibrate(asdm, block.vis, observation)
    _pack_flags(block.vis, archive / "ngas" / f"{block.vis}.flagversions.tgz")
    calls = "\n".join(application.call(_original_folder(mous), block.vis) for application in calibration.applications)
    (archive / "ngas" / f"{block.vis}.calapply.txt").write_text(f"# Apply file for {block.vis}\n{calls}\n")
    save(Path(block.vis), archive / "reference" / mous.name / f"{block.vis}.npz")
    return MadeBlock(
        block,
        folder,
        tuple(calibration.caltables),
        (f"{block.vis}.flagversions.tgz", f"{block.vis}.calapply.txt"),
        calibration.phase_flux_jy,
    )


def _original_folder(mous: MousSpec) -> str:
    """Where the observatory's own run would have worked; products tell such paths, and restores must not need them."""
    return f"/original/run/{mous.project_code}/MOUS_{mous.name}/working/"


def _pack_flags(vis: str, tgz: Path) -> None:
    """Pack the final flags as the pipeline does: this one version, and a list that names it."""
    listed = b"Pipeline_Final : Final pipeline flags\n"
    with tarfile.open(tgz, "w:gz") as tar:
        tar.add(f"{vis}.flagversions/flags.Pipeline_Final")
        entry = tarfile.TarInfo(f"{vis}.flagversions/FLAG_VERSION_LIST")
        entry.size = len(listed)
        tar.addfile(entry, io.BytesIO(listed))
