"""Which run of CASA counts: the one that has read what is staged now, and whose result nobody has rejected."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from small_mous import EBS, SECOND

from alma_restore.casa import attempts, job
from alma_restore.casa.installations import Installation
from alma_restore.casa.launchers.local import LocalLauncher
from alma_restore.ppr import read
from alma_restore.products import manifest as manifests
from alma_restore.restore import parts
from alma_restore.settings import CasaSettings
from alma_restore.workspace import Workspace

Run = Callable[..., str]
Change = Callable[[Workspace], object]


@pytest.fixture
def run(casa: CasaSettings, fake_installation: Callable[..., Installation]) -> Run:
    """Start CASA, or find its run, and wait for its end; the name of the attempt."""
    launcher = LocalLauncher()

    def to_its_end(workspace: Workspace) -> str:
        made = " ".join(f"{uid.sanitised}.ms" for uid in EBS)
        left = "touch ../products/x.hifa_restoredata.weblog.tgz ../products/flux.csv"
        installation = fake_installation(f"{left}; for ms in {made}; do mkdir $ms; touch $ms/table.dat; done")
        handle = job.start_or_attach(launcher, installation, workspace, casa)
        job.watch(launcher, handle, workspace, casa, lambda _: None)
        return Path(handle.folder).name

    return to_its_end


def product(workspace: Workspace, pattern: str) -> Path:
    return min(workspace.products.glob(pattern))


def fetch_again(workspace: Workspace) -> None:
    """The same files anew, as a retry from the start leaves them."""
    for file in filter(Path.is_file, [*workspace.products.iterdir(), *workspace.rawdata.rglob("*")]):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
        os.utime(file, (1, 1))


@pytest.mark.parametrize("change", [lambda _: None, fetch_again], ids=["staged", "fetched again"])
def test_the_same_data_lead_to_the_same_run(workspace: Workspace, run: Run, change: Change) -> None:
    first = run(workspace)
    change(workspace)
    assert run(workspace) == first == "attempt-1"


CHANGES: dict[str, Change] = {
    "manifest": lambda w: change_text(product(w, manifests.NAME_PATTERN), "</piperesults>", "<!-- 2 --></piperesults>"),
    "calapply": lambda w: change_text(product(w, "*.calapply.txt"), "calwt=[True", "calwt=[False"),
    "caltables": lambda w: pack_again(product(w, "*.caltables.tgz")),
    "flags": lambda w: pack_again(product(w, "*.flagversions.tgz")),
    "auxproducts": lambda w: pack_again(product(w, "*.auxproducts.tgz")),
    "raw data": lambda w: next((w.rawdata / SECOND.sanitised).rglob("Main.xml")).write_text("other"),
}


def change_text(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def pack_again(archive: Path) -> None:
    """Other bytes under the same name, of the same age."""
    times = archive.stat()
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()), mtime=1))
    os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("what", CHANGES)
def test_other_data_under_the_same_names_are_restored_anew(workspace: Workspace, run: Run, what: str) -> None:
    run(workspace)
    CHANGES[what](workspace)
    assert run(workspace) == "attempt-2"
    assert run(workspace) == "attempt-2"


def test_a_part_is_restored_anew_where_its_own_products_have_changed(workspace: Workspace, run: Run) -> None:
    asked = read.read(workspace.ppr)
    parts.make(workspace, asked)
    assert [run(workspace.part(uid)) for uid in EBS] == ["attempt-1"] * 3
    CHANGES["calapply"](workspace)
    parts.make(workspace, asked)
    assert [run(workspace.part(uid)) for uid in EBS] == ["attempt-2", "attempt-1", "attempt-1"]


def test_a_rejected_run_is_followed_by_a_new_one(workspace: Workspace, run: Run) -> None:
    assert run(workspace) == "attempt-1"
    attempts.reject(workspace)
    assert run(workspace) == "attempt-2"
    assert run(workspace) == "attempt-2"
