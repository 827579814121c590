"""Staging: what the pipeline looks for is there, whole and under its name, or the sentence says what is missing."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path

import pytest
from small_delivery import FIRST, MOUS, SECOND, THIRD, Delivery, tables_of, write_tgz

from alma_restore.errors import Corrupt, Inconsistent, Misconfigured, RestoreError
from alma_restore.products import staging
from alma_restore.workspace import Workspace


@pytest.fixture
def workspace(delivery) -> Workspace:
    return Workspace(delivery.folder.parent).create({})


def stage(workspace: Workspace, delivery: Delivery) -> staging.Staged:
    return staging.stage(workspace, delivery.files)


def test_the_manifest_goes_to_rawdata_and_auxproducts_are_expanded(workspace, delivery):
    staged = stage(workspace, delivery)
    assert (workspace.rawdata / delivery.manifest.name).read_bytes() == delivery.manifest.read_bytes()
    assert (workspace.products / "flux.csv").read_bytes() == b"ms,field\n"
    assert staged.expanded == ("antennapos.csv", "flux.csv")
    assert staged.links == {}
    assert [asdm.ms_name for asdm in staged.manifest.asdms] == [f"{eb}.ms" for eb in (FIRST, SECOND, THIRD)]


def test_a_try_that_comes_back_when_the_next_one_has_staged_fails_nothing(tmp_path, monkeypatch):
    """As a task does whose worker was thought to be dead."""
    workspace = Workspace(tmp_path / "spool").create({})
    delivery = Delivery(workspace.products, prefix="member.").write()
    files, replace, nexts = delivery.files, Path.replace, []

    def come_back(part, target):
        if not nexts:
            nexts.append(multiprocessing.get_context("fork").Process(target=staging.stage, args=(workspace, files)))
            monkeypatch.setattr(Path, "replace", replace)
            nexts[0].start()
            nexts[0].join()
            monkeypatch.setattr(Path, "replace", come_back)
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", come_back)
    staged = staging.stage(workspace, files)
    assert [process.exitcode for process in nexts] == [0]
    assert (workspace.rawdata / delivery.manifest.name).read_bytes() == delivery.manifest.read_bytes()
    assert all((workspace.products / name).is_file() for name in staged.links)
    assert list(workspace.root.rglob("*.part")) == []


@pytest.mark.parametrize("prefix", ["", "member."])
@pytest.mark.parametrize("manifest_prefix", ["", "member."])
@pytest.mark.parametrize("recipe", ["hifa_calimage", "hifa_polcalimage"])
def test_every_file_of_the_manifest_is_there_under_the_manifest_s_name(tmp_path, prefix, manifest_prefix, recipe):
    workspace = Workspace(tmp_path / "a spool with blanks").create({})
    delivery = Delivery(workspace.products, prefix, manifest_prefix, recipe).write()
    originals = {path: path.read_bytes() for path in delivery.files}
    staged = stage(workspace, delivery)
    for name in staged.manifest.needed:
        assert (workspace.products / name).resolve(strict=True) in {path.resolve() for path in originals}
    assert bool(staged.links) == (prefix != manifest_prefix)
    assert {path: path.read_bytes() for path in originals} == originals


def test_files_of_an_execution_block_may_carry_the_mous_in_their_name(workspace, delivery):
    name = f"{THIRD}.ms.calapply.txt"
    (delivery.folder / name).rename(delivery.folder / f"member.{MOUS}.{name}")
    assert stage(workspace, delivery).links == {name: f"member.{MOUS}.{name}"}


def test_staging_again_changes_nothing(tmp_path):
    workspace = Workspace(tmp_path / "spool").create({})
    delivery = Delivery(workspace.products, prefix="member.").write()
    files = delivery.files
    first = staging.stage(workspace, files)
    before = _state(workspace.root)
    assert staging.stage(workspace, files) == first
    assert _state(workspace.root).keys() == before.keys()
    kept = [path for path in before if path.is_symlink() or path.parent == workspace.rawdata]
    assert len(kept) == 3
    assert {path: _state(workspace.root)[path] for path in kept} == {path: before[path] for path in kept}


def _state(root: Path) -> dict[Path, tuple[int, float]]:
    return {path: (path.lstat().st_ino, path.lstat().st_mtime) for path in root.rglob("*")}


DAMAGES = {
    "link lost": lambda link: link.unlink(),
    "link elsewhere": lambda link: (link.unlink(), link.symlink_to("elsewhere.tgz")),
    "a file in its place": lambda link: (link.unlink(), link.write_bytes(b"left by another run")),
    "half a link": lambda link: link.with_name(f"{link.name}.part").symlink_to("nowhere"),
    "emptied": lambda link: (link.parent / "flux.csv").write_bytes(b""),
    "half a copy": lambda link: next(link.parents[1].glob("rawdata/*")).write_bytes(b"half of i"),
    "copy lost": lambda link: next(link.parents[1].glob("rawdata/*")).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_staging_again_repairs(tmp_path, damage):
    workspace = Workspace(tmp_path / "spool").create({})
    delivery = Delivery(workspace.products, prefix="member.").write()
    files = delivery.files
    staging.stage(workspace, files)
    link = workspace.products / f"{MOUS}.session_1.caltables.tgz"
    damage(link)
    staging.stage(workspace, files)
    assert link.readlink() == Path(f"member.{link.name}")
    assert (workspace.products / "flux.csv").read_bytes() == b"ms,field\n"
    assert (workspace.rawdata / delivery.manifest.name).read_bytes() == delivery.manifest.read_bytes()


def test_the_pipeline_meets_no_manifest_but_the_calibration_run_s(workspace, delivery):
    """It reads the first with `cal` in its name, in whatever order the disk tells them."""
    others = [delivery.imaging_manifest(recipe) for recipe in ("hifa_image", "hifa_image_selfcal")]
    shutil.copy(others[1], workspace.rawdata)  # as the pipeline does, of an earlier attempt
    delivered = [*delivery.files]
    before = {path.name: path.read_bytes() for path in delivered}
    for _ in range(2):
        assert staging.stage(workspace, delivered).manifest.file_name == delivery.manifest.name
        for folder in (workspace.products, workspace.rawdata):
            assert [path.name for path in folder.glob("*pipeline_manifest.xml")] == [delivery.manifest.name]
        aside = workspace.products / staging.OTHER_MANIFESTS
        assert {path.name: path.read_bytes() for path in aside.iterdir()} == {o.name: before[o.name] for o in others}
        shutil.copy(aside / others[0].name, workspace.products)  # fetched again


def test_the_copy_in_rawdata_is_no_link(workspace, delivery):
    (workspace.rawdata / delivery.manifest.name).symlink_to(delivery.manifest)
    stage(workspace, delivery)
    assert not (workspace.rawdata / delivery.manifest.name).is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        f"{MOUS}.session_1.caltables.tgz",
        f"{MOUS}.session_2.caltables.tgz",
        f"{SECOND}.ms.flagversions.tgz",
        f"{THIRD}.ms.calapply.txt",
        f"{MOUS}.hifa_calimage.auxproducts.tgz",
    ],
)
def test_a_file_that_the_manifest_names_and_nobody_delivered_is_named(workspace, delivery, name):
    (delivery.folder / name).unlink()
    with pytest.raises(Inconsistent, match=f"names {name}, which is not among the 9"):
        stage(workspace, delivery)


def test_a_file_on_disk_that_the_archive_does_not_name_does_not_count(workspace, delivery):
    files = [path for path in delivery.files if path.name != f"{THIRD}.ms.calapply.txt"]
    with pytest.raises(Inconsistent, match=f"names {THIRD}"):
        staging.stage(workspace, files)


@pytest.mark.parametrize(
    "name", [f"{MOUS}.session_1.caltables.tgz", f"{FIRST}.ms.flagversions.tgz", f"{MOUS}.hifa_calimage.auxproducts.tgz"]
)
@pytest.mark.parametrize("keep", [0, 20, -4])
def test_a_truncated_tgz_is_corrupt_and_named(workspace, delivery, name, keep):
    path = delivery.folder / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(Corrupt, match=name):
        stage(workspace, delivery)


def test_tables_that_calapply_applies_and_caltables_lacks_are_named(workspace, delivery):
    first, second = tables_of(THIRD)
    write_tgz(delivery.path("session_2.caltables.tgz"), {f"{first}/table.dat": b"x"})
    with pytest.raises(Inconsistent, match=rf"applies {second}, which {MOUS}\.session_2\.caltables\.tgz does not hold"):
        stage(workspace, delivery)


def test_a_calapply_of_another_execution_block_is_noticed(workspace, delivery):
    shutil.copy(delivery.folder / f"{SECOND}.ms.calapply.txt", delivery.folder / f"{FIRST}.ms.calapply.txt")
    with pytest.raises(Inconsistent, match=rf"{FIRST}\.ms\.calapply\.txt calibrates {SECOND}\.ms"):
        stage(workspace, delivery)


@pytest.mark.parametrize("lost", ["FLAG_VERSION_LIST", "flags.Pipeline_Final"])
def test_flags_without_the_final_version_are_noticed(workspace, delivery, lost):
    names = {"FLAG_VERSION_LIST", "flags.Pipeline_Final", "flags.Pipeline_Final_2"} - {lost}
    members = {f"{FIRST}.ms.flagversions/{name}": b"x" for name in names}
    write_tgz(delivery.folder / f"{FIRST}.ms.flagversions.tgz", members)
    with pytest.raises(Inconsistent, match=rf"does not hold {FIRST}\.ms\.flagversions/{lost}"):
        stage(workspace, delivery)


def test_auxproducts_never_replace_a_delivered_file(workspace, delivery):
    archive = delivery.path("hifa_calimage.auxproducts.tgz")
    write_tgz(archive, {f"{FIRST}.ms.calapply.txt": b"applycal()"})
    before = (delivery.folder / f"{FIRST}.ms.calapply.txt").read_bytes()
    with pytest.raises(Corrupt, match="would replace the delivered file"):
        stage(workspace, delivery)
    assert (delivery.folder / f"{FIRST}.ms.calapply.txt").read_bytes() == before


@pytest.mark.parametrize(("delivered", "expanded"), [(True, ("antennapos.csv", "flux.csv")), (False, ())])
def test_auxproducts_that_the_manifest_does_not_name_are_expanded_where_there_are_some(
    workspace, delivery, delivered, expanded
):
    element = f'<aux_products_file name="{MOUS}.hifa_calimage.auxproducts.tgz"/>'
    delivery.manifest.write_text(delivery.manifest.read_text().replace(element, ""))
    if not delivered:
        delivery.path("hifa_calimage.auxproducts.tgz").unlink()
    assert stage(workspace, delivery).expanded == expanded


def test_nothing_is_staged_from_a_bad_delivery(workspace, delivery):
    (delivery.folder / f"{THIRD}.ms.calapply.txt").unlink()
    before = set(workspace.root.rglob("*"))
    with pytest.raises(RestoreError):
        stage(workspace, delivery)
    assert set(workspace.root.rglob("*")) == before


def test_a_workspace_that_cannot_be_written_is_an_operator_s_matter(workspace, delivery):
    workspace.rawdata.rmdir()
    workspace.rawdata.write_text("in the way")
    with pytest.raises(Misconfigured, match="cannot be written"):
        stage(workspace, delivery)
