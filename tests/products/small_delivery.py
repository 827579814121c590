"""A small delivery of calibration products, with files of a few bytes where real ones hold CASA tables."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

MOUS = "uid___A001_X133d_X1ab2"
FIRST, SECOND, THIRD = "uid___A002_Xd248b5_Xa7a", "uid___A002_Xd248b5_Xcc1", "uid___A002_Xd2f4c0_X1f3"


def write_tgz(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def tables_of(eb: str) -> list[str]:
    return [f"{eb}.ms.hifa_bandpass.s15_4.bcal.tbl", f"{eb}.ms.hifa_timegaincal.s20_2.gpcal.tbl"]


def calapply_of(eb: str) -> str:
    tables = ", ".join(f"'/old/run/working/{name}'" for name in tables_of(eb))
    return (
        f"# Apply file for {eb}.ms\n"
        f"applycal(vis='/old/run/working/{eb}.ms', field='J1', intent='BANDPASS', spw='0~1', antenna='0~9', "
        f"gaintable=[{tables}], gainfield=['', '0'], spwmap=[[], [0, 0]], interp=['linear,linear', ''], "
        "calwt=[True, False])\n"
    )


@dataclass
class Delivery:
    """Writes the product files of one MOUS into a folder.

    Attributes:
        prefix: what stands before MOUS-level names on disk.
        manifest_prefix: what stands before them in the manifest.
    """

    folder: Path
    prefix: str = ""
    manifest_prefix: str = ""
    recipe: str = "hifa_calimage"
    sessions: dict[str, list[str]] = field(default_factory=lambda: {"session_1": [FIRST, SECOND], "session_2": [THIRD]})

    def path(self, name: str) -> Path:
        """A MOUS-level file, such as `session_1.caltables.tgz`."""
        return self.folder / f"{self.prefix}{MOUS}.{name}"

    @property
    def manifest(self) -> Path:
        return self.path(f"{self.recipe}.pipeline_manifest.xml")

    @property
    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file() and not path.is_symlink())

    def write(self) -> Delivery:
        self.folder.mkdir(parents=True, exist_ok=True)
        for session, ebs in self.sessions.items():
            tables = {f"{table}/table.dat": table.encode() for eb in ebs for table in tables_of(eb)}
            write_tgz(self.path(f"{session}.caltables.tgz"), tables)
            for eb in ebs:
                flags = {f"{eb}.ms.flagversions/{name}": b"x" for name in ("FLAG_VERSION_LIST", "flags.Pipeline_Final")}
                write_tgz(self.folder / f"{eb}.ms.flagversions.tgz", flags)
                (self.folder / f"{eb}.ms.calapply.txt").write_text(calapply_of(eb))
        write_tgz(self.path(f"{self.recipe}.auxproducts.tgz"), {"flux.csv": b"ms,field\n", "antennapos.csv": b"name\n"})
        self.manifest.write_text(self.manifest_text())
        return self

    def imaging_manifest(self, recipe: str, sessions: str = "") -> Path:
        """Add the manifest of an imaging run, which exports no calibration products of execution blocks."""
        path = self.path(f"{recipe}.pipeline_manifest.xml")
        path.write_text(
            f'<?xml version="1.0" ?>\n<piperesults name="{MOUS}"><ous name="{MOUS}"><casaversion name="6.6.1"/>\n'
            f'<procedure_name name="{recipe}"/>{sessions}<image name="x.fits" format="fits"/></ous></piperesults>\n'
        )
        return path

    def manifest_text(self) -> str:
        stem = f"{self.manifest_prefix}{MOUS}"
        sessions = ""
        for session, ebs in self.sessions.items():
            sessions += f'<session name="{session}">\n<caltables name="{stem}.{session}.caltables.tgz"/>\n'
            for eb in ebs:
                sessions += f'<asdm name="{eb}.ms"><finalflags name="{eb}.ms.flagversions.tgz"/>\n'
                sessions += f'<applycmds name="{eb}.ms.calapply.txt"/></asdm>\n'
            sessions += "</session>\n"
        return (
            f'<?xml version="1.0" ?>\n<piperesults name="{MOUS}"><ous name="{MOUS}">\n'
            '<casaversion name="6.5.4"/><pipeline_version name="2023.1.0.124"/>'
            f'<procedure_name name="{self.recipe}"/>\n{sessions}'
            f'<restorescript name="{stem}.{self.recipe}.casa_piperestorescript.py"/>\n'
            f'<aux_products_file name="{stem}.{self.recipe}.auxproducts.tgz"/>\n</ous></piperesults>\n'
        )
