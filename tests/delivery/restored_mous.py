"""The MOUS that the tests of this room deliver."""

from __future__ import annotations

from pathlib import Path

from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X12d1/X23e")
EBS = (Uid("uid://A002/Xd248b5/Xa7a"), Uid("uid://A002/Xd248b5/Xcc1"))


def tree(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, by name; hidden things included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
