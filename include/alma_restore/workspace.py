"""The spool folder of one restore: its layout, its parts, its metadata.json, its clean-up."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from alma_restore.errors import Misconfigured
from alma_restore.uid import Uid

_PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Workspace:
    """One restore's folder. SCIPIPE_ROOTDIR is `root`; the pipeline runs in `working` (DOMAIN section 12)."""

    root: Path

    @property
    def rawdata(self) -> Path:
        return self.root / "rawdata"

    @property
    def products(self) -> Path:
        return self.root / "products"

    @property
    def working(self) -> Path:
        return self.root / "working"

    @property
    def logs(self) -> Path:
        return self.root / "Logs"

    @property
    def metadata_file(self) -> Path:
        return self.root / "metadata.json"

    @property
    def ppr(self) -> Path:
        return self.root / "PPR.xml"

    @property
    def report_file(self) -> Path:
        return self.root / "restore.json"

    @property
    def parts(self) -> tuple[Workspace, ...]:
        """Where each execution block has a CASA job of its own, their workspaces below this one."""
        return tuple(map(Workspace, sorted((self.root / _PARTS).glob("*"))))

    @property
    def is_part(self) -> bool:
        return self.root.parent.name == _PARTS

    @property
    def spool(self) -> Path:
        """Where all restores are worked on."""
        return self.root.parents[2] if self.is_part else self.root.parent

    @property
    def runs(self) -> tuple[Workspace, ...]:
        """The workspaces that CASA runs in: the parts, or this one as a whole."""
        return self.parts or (self,)

    def part(self, eb_uid: Uid) -> Workspace:
        """The part of one execution block, made or not."""
        return Workspace(self.root / _PARTS / eb_uid.sanitised)

    def create(self, metadata: dict[str, Any]) -> Workspace:
        """Make the folders and write metadata.json; made already, they are left as they are.

        Raises:
            Misconfigured: the spool cannot be written.
        """
        try:
            for folder in (self.rawdata, self.products, self.working, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            write_json(self.metadata_file, metadata)
        except OSError as error:
            raise Misconfigured(
                f"The workspace {self.root} cannot be made: {error}.",
                remedy="Give the spool folder to the user that runs Airflow, or set ALMA_RESTORE_SPOOL.",
            ) from error
        return self

    def metadata(self) -> dict[str, Any]:
        return dict(json.loads(self.metadata_file.read_text()))

    def empty_working(self) -> None:
        """Clear working/: the pipeline takes an existing MS as it is (DOMAIN section 12), so a new run starts clean.

        working/ becomes a link to a folder that no earlier run has known: `working.1`, `working.2` and so on. A run
        that is still alive on a machine that seemed lost has the old one, by its path too, and loses it.
        """
        old = [path for path in self.root.glob("working.*") if path.suffix[1:].isdecimal()]
        fresh = self.root / f"working.{1 + max((int(path.suffix[1:]) for path in old), default=0)}"
        fresh.mkdir()
        link = self.root / "working.link"
        link.unlink(missing_ok=True)
        link.symlink_to(fresh.name)
        if not self.working.is_symlink():
            shutil.rmtree(self.working, ignore_errors=True)
        link.replace(self.working)
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)

    def remove_parts(self) -> None:
        shutil.rmtree(self.root / _PARTS, ignore_errors=True)

    def remove(self) -> None:
        if self.root.exists():
            shutil.rmtree(self.root)


def folder_name(eb_uid: Uid, opened: datetime) -> str:
    """The spool folder's name as NRAO writes it: `uid___A002_Xd248b5_Xa7a_2018_09_21_T14_17_00.434`.

    Source: seed 1 and DOMAIN section 13.
    """
    return f"{eb_uid.sanitised}_{opened:%Y_%m_%d_T%H_%M_%S}.{opened.microsecond // 1000:03d}"


def write_json(path: Path, content: Any) -> None:
    """Write JSON, as `write_whole` writes."""
    write_whole(path, (json.dumps(content, indent=2, sort_keys=True, default=str) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    What is hard-linked to the old one, as a delivery is, keeps that; of two processes that write the same, neither
    takes the other's work away.
    """
    part = part_of(path)
    part.write_bytes(content)
    part.replace(path)


def part_of(path: Path) -> Path:
    """Where this process, and no other, makes a file that is not whole yet."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")
