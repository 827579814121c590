"""The product files of a whole calibrated MOUS, with the names and shapes of ALMA's deliveries since Cycle 5.

Source: DOMAIN sections 7 and 11. Of what no restore reads (weblog, QA2 report, image) only the name and kind are right.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from block_products import MadeBlock
from mous_documents import manifest, pipeline_request
from mous_spec import MousSpec
from synthetic_sky import BANDPASS, PHASE, SOURCES


@dataclass(frozen=True)
class Product:
    """One file in the archive, with its FILE_CLASS."""

    file_id: str
    file_class: str
    size_bytes: int


def write_mous_products(mous: MousSpec, made: Sequence[MadeBlock], casa_version: str, ngas: Path) -> list[Product]:
    """Write every product file of the MOUS into `ngas`; those of single blocks are there already, and listed too."""
    products = []
    for name, file_class, content in _contents(mous, made, casa_version):
        file_id = f"{mous.prefix}{mous.name}.{name}"
        (ngas / file_id).write_bytes(content)
        products.append(Product(file_id, file_class, len(content)))
    own = [name for block in made for name in block.products]
    return products + [Product(name, "calibration", (ngas / name).stat().st_size) for name in own]


def _contents(mous: MousSpec, made: Sequence[MadeBlock], casa_version: str) -> Iterator[tuple[str, str, bytes]]:
    """Name after the MOUS's, class and content of each file; the classes of the last four are a guess."""
    recipe = mous.recipe
    for session, blocks in mous.sessions.items():
        yield f"{session}.caltables.tgz", "calibration", _caltables([m for m in made if m.spec in blocks])
    yield f"{recipe}.auxproducts.tgz", "calibration", _tgz(_auxiliary_files(made))
    yield f"{recipe}.pipeline_manifest.xml", "script", manifest(mous, casa_version)
    yield f"{recipe}.pprequest.xml", "script", pipeline_request(mous)
    yield f"{recipe}.casa_pipescript.py", "script", _PIPESCRIPT.format(recipe=recipe).encode()
    yield f"{recipe}.casa_piperestorescript.py", "script", _restore_script(mous)
    yield (
        "scriptForPI.py",
        "script",
        b"# Run casa_piperestorescript.py in a CASA with the pipeline.\n",
    )
    yield "DemoTarget_sci.cont.I.pbcor.fits", "science", _image()
    yield f"{recipe}.casa_commands.log", "log", b"# The CASA commands of the calibration of synthetic data.\n"
    yield (
        f"{recipe}.weblog.tgz",
        "qa",
        _tgz({"pipeline/html/index.html": _page(mous, "Weblog")}),
    )
    yield "qa2_report.html", "qa", _page(mous, "QA2 report: Pass")
    yield "README.txt", "readme", f"Synthetic data of {mous.uid}, project {mous.project_code}.\n".encode()


def _caltables(made: Sequence[MadeBlock]) -> bytes:
    """The calibration tables of one session's blocks, flat."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for block in made:
            for table in block.caltables:
                tar.add(block.folder / table, arcname=table)
    return packed.getvalue()


def _tgz(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _auxiliary_files(made: Sequence[MadeBlock]) -> dict[str, bytes]:
    files = {
        "antennapos.csv": b"name,antenna,xoff,yoff,zoff,comment\n",
        "flux.csv": _flux(made),
        "cont.dat": b"\nField: DemoTarget\n\nSpectralWindow: 0\n97.0~97.5GHz TOPO\n",
    }
    for block in made:
        name = block.spec.vis.removesuffix(".ms")
        for template in ("flagtemplate", "flagtsystemplate", "flagtargetstemplate"):
            files[f"{name}.{template}.txt"] = b"# User flagging commands file\n"
    return files


def _flux(made: Sequence[MadeBlock]) -> bytes:
    """The flux densities that the calibration used, as the pipeline tabulates them."""
    lines = ["ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment"]
    for block in made:
        for window, jansky in enumerate(block.phase_flux_jy):
            known = SOURCES[BANDPASS].components[0][2]
            for field, flux, index in ((BANDPASS, known, -0.5), (PHASE, jansky, 0.0)):
                comment = f'"# field={SOURCES[field].name}"'
                lines.append(f"{block.spec.vis},{field},{window},{flux:.6f},0.0,0.0,0.0,{index},0.0,0.0,{comment}")
    return ("\n".join(lines) + "\n").encode()


def _restore_script(mous: MousSpec) -> bytes:
    names = [block.vis.removesuffix(".ms") for block in mous.passed]
    sessions = [block.session for block in mous.passed]
    return _RESTORE_SCRIPT.format(names=names, sessions=sessions).encode()


def _image() -> bytes:
    """A FITS image of nothing, 8 by 8 pixels."""
    cards = ["SIMPLE  =                    T", "BITPIX  =                  -32", "NAXIS   =                    2"]
    cards += ["NAXIS1  =                    8", "NAXIS2  =                    8", "BUNIT   = 'Jy/beam '", "END"]
    header = "".join(f"{card:80}" for card in cards).encode()
    pixels = np.zeros((8, 8), ">f4").tobytes()
    return header.ljust(2880, b" ") + pixels.ljust(2880, b"\0")


def _page(mous: MousSpec, title: str) -> bytes:
    return f"<!DOCTYPE html><title>{title}</title><h1>{title}</h1><p>{mous.uid} (synthetic data)</p>\n".encode()


_PIPESCRIPT = """\
# The recipe that calibrated these data.
__rethrow_casa_exceptions = True
h_init()
try:
    {recipe}()
finally:
    h_save()
"""

_RESTORE_SCRIPT = """\
__rethrow_casa_exceptions = True
h_init()
try:
    hifa_restoredata(vis={names}, session={sessions}, ocorr_mode='ca')
finally:
    h_save()
"""
