"""The MOUS that the tests of this room deliver."""

from __future__ import annotations

from pathlib import Path

from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X12d1/X23e")
EBS = (Uid("uid://A002/Xd248b5/Xa7a"), Uid("uid://A002/Xd248b5/Xcc1"))


def manifest() -> str:
    """The pipeline manifest of their calibration, without the `member.` that the archive puts before some names."""
    asdms = "".join(
        f'<asdm name="{eb_uid.sanitised}.ms"><finalflags name="{eb_uid.sanitised}.ms.flagversions.tgz"/>'
        f'<applycmds name="{eb_uid.sanitised}.ms.calapply.txt"/></asdm>'
        for eb_uid in EBS
    )
    caltables = f'<caltables name="{MOUS.sanitised}.session_1.caltables.tgz"/>'
    session = f'<session name="session_1">{caltables}{asdms}</session>'
    return f'<piperesults name="a"><ous name="{MOUS.sanitised}">{session}</ous></piperesults>'


def calapply(eb_uid: Uid, *calls: tuple[str, str]) -> str:
    """A calapply.txt with an applycal call of each intent and its spectral windows."""
    return "".join(
        f"applycal(vis='/calibrated/{eb_uid.sanitised}.ms', field='', intent='{intent}', spw='{spw}', antenna='', "
        "gaintable='a.tbl', gainfield='', spwmap=[], interp='', calwt=True)\n"
        for intent, spw in calls
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, by name; hidden things included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
