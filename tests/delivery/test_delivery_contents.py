"""The delivered set is the published one, and nothing from outside the workspace."""

from __future__ import annotations

import os
import shutil

import pytest
from restored_mous import EBS, MOUS, calapply

from alma_restore.delivery.contents import gather, link_measurement_sets
from alma_restore.errors import DeliveryFailed
from alma_restore.split import SplitOptions


def test_the_published_set_is_delivered(workspace):
    html = workspace.working / "pipeline-20261120T101010" / "html"
    html.mkdir(parents=True)
    (html / "index.html").write_text("<html>")
    (workspace.root / "report.html").write_text("<html>")
    mous, eb = MOUS.sanitised, EBS[0].sanitised
    ms_files = ("table.dat", "table.f17_TSM1", "ANTENNA/table.dat")
    assert sorted(gather(workspace, MOUS, EBS)) == sorted(
        [
            *(f"{uid.sanitised}.ms/{name}" for uid in EBS for name in ms_files),
            f"member.{mous}.hifa_calimage.weblog.tgz",
            f"member.{mous}.session_1.caltables.tgz",
            f"{mous}.hifa_calimage.casa_piperestorescript.py",
            f"{mous}.hifa_calimage.casa_commands.log",
            f"{mous}.hifa_calimage.pipeline_manifest.xml",
            *(f"{uid.sanitised}.ms.calapply.txt" for uid in EBS),
            f"{eb}.ms.flagversions.tgz",
            f"{eb}.flagtsystemplate.txt",
            "flux.csv",
            "cont.dat",
            "PPR.xml",
            "restore.json",
            "report.html",
            "README.txt",
            "weblog_of_the_restore/index.html",
        ]
    )


def test_gathering_twice_gives_the_same(workspace):
    before = {name: path.read_bytes() for name, path in gather(workspace, MOUS, EBS).items()}
    assert {name: path.read_bytes() for name, path in gather(workspace, MOUS, EBS).items()} == before


def test_products_shows_the_measurement_sets_and_working_keeps_them(workspace):
    names = [f"{uid.sanitised}.ms" for uid in EBS]
    links = link_measurement_sets(workspace, names)
    assert links == tuple(workspace.products / name for name in names)
    assert all((link / "table.dat").is_file() for link in links)
    assert (workspace.working / names[0] / "table.dat").is_file()


def split_off(workspace):
    for uid in EBS:
        made = workspace.working / f"{uid.sanitised}_targets.ms"
        shutil.copytree(workspace.working / f"{uid.sanitised}.ms", made)


def measurement_sets(files):
    return {name.partition("/")[0] for name in files if ".ms/" in name or name.endswith(".tar")}


def test_what_was_split_off_is_delivered_in_place_of_the_whole(workspace):
    split_off(workspace)
    files = gather(workspace, MOUS, EBS, SplitOptions(chanbin=2))
    assert measurement_sets(files) == {f"{uid.sanitised}_targets.ms" for uid in EBS}
    readme = files["README.txt"].read_text()
    assert "TARGET data, 2 channels averaged into one" in readme
    assert f"plotms(vis='{EBS[0].sanitised}_targets.ms', ydatacolumn='data'" in readme
    assert "CORRECTED_DATA" not in readme


def test_or_beside_it_where_that_is_asked_for(workspace):
    split_off(workspace)
    files = gather(workspace, MOUS, EBS, SplitOptions(keep_full=True))
    assert measurement_sets(files) == {f"{uid.sanitised}{end}.ms" for uid in EBS for end in ("", "_targets")}
    readme = files["README.txt"].read_text()
    assert "CORRECTED_DATA the calibrated ones" in readme
    assert "_targets.ms the column DATA holds" in readme


def test_what_should_have_been_split_off_and_was_not_is_named(workspace):
    with pytest.raises(DeliveryFailed, match=f"no MeasurementSet {EBS[0].sanitised}_targets.ms"):
        gather(workspace, MOUS, EBS, SplitOptions())


def test_each_measurement_set_can_be_one_tar_file(workspace):
    folders, tars = gather(workspace, MOUS, EBS), gather(workspace, MOUS, EBS, tar=True)
    assert measurement_sets(tars) == {f"{uid.sanitised}.ms.tar" for uid in EBS}
    assert {name for name in folders if ".ms/" not in name} == tars.keys() - measurement_sets(tars)
    assert all(
        set(tars[f"{ms}.tar"].members) == {name for name in folders if name.startswith(f"{ms}/")}
        for ms in measurement_sets(folders)
    )
    readme = tars["README.txt"].read_text()
    assert f"tar -xf {EBS[0].sanitised}.ms.tar" in readme


def test_the_readme_says_how_to_open_the_data(workspace):
    readme = gather(workspace, MOUS, EBS)["README.txt"].read_text()
    assert f"listobs(vis='{EBS[0].sanitised}.ms')" in readme
    assert all(f"{uid.sanitised}.ms" in readme for uid in EBS)
    assert MOUS in readme
    assert max(map(len, readme.splitlines())) <= 120


def apply_calibration(workspace, eb_uid, *calls):
    (workspace.products / f"{eb_uid.sanitised}.ms.calapply.txt").write_text(calapply(eb_uid, *calls))


def test_its_examples_take_the_spectral_windows_in_which_targets_are_calibrated(workspace):
    readme = gather(workspace, MOUS, EBS)["README.txt"].read_text()
    assert readme.count("spw='17,19,21,23'") == readme.count("spw=") == 3  # plotms, tclean, split
    assert all(f"{task}(" in readme for task in ("plotms", "tclean", "split"))


def test_and_those_of_each_execution_block_where_they_differ(workspace):
    apply_calibration(workspace, EBS[1], ("PHASE", "17"), ("", "25,27"), ("TARGET", "29"))
    readme = gather(workspace, MOUS, EBS)["README.txt"].read_text()
    assert f"plotms(vis='{EBS[0].sanitised}.ms', spw='17,19,21,23'" in readme
    assert f"  {EBS[0].sanitised}.ms: spw='17,19,21,23'\n  {EBS[1].sanitised}.ms: spw='25,27,29'\n" in readme


def test_where_nobody_says_which_they_are_all_are_taken(workspace):
    apply_calibration(workspace, EBS[0], ("TARGET", "17"), ("TARGET", "ALMA_RB_06#BB_1"))
    apply_calibration(workspace, EBS[1], ("PHASE", "17"))
    readme = gather(workspace, MOUS, EBS)["README.txt"].read_text()
    assert readme.count("spw=''") == readme.count("spw=") == 3


def test_what_was_split_off_holds_no_other_windows(workspace):
    split_off(workspace)
    assert "spw=" not in gather(workspace, MOUS, EBS, SplitOptions())["README.txt"].read_text()


def test_a_missing_measurement_set_is_named(workspace):
    (workspace.working / f"{EBS[1].sanitised}.ms" / "table.dat").unlink()
    with pytest.raises(DeliveryFailed, match=f"no MeasurementSet {EBS[1].sanitised}.ms"):
        gather(workspace, MOUS, EBS)


@pytest.mark.parametrize("target", ["/etc", "/etc/passwd", "nowhere"])
def test_a_link_out_of_the_workspace_is_not_followed(workspace, target):
    (workspace.working / f"{EBS[0].sanitised}.ms" / "LINK").symlink_to(target)
    with pytest.raises(DeliveryFailed, match=r"LINK leads to .*, which is no file of this workspace"):
        gather(workspace, MOUS, EBS)


def test_a_folder_that_cannot_be_listed_is_not_left_out(workspace, monkeypatch):
    listed = os.scandir

    def scandir(folder):
        if str(folder).endswith("ANTENNA"):
            raise OSError(5, "Input/output error", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DeliveryFailed, match="ANTENNA cannot be listed: Input/output error"):
        gather(workspace, MOUS, EBS)
