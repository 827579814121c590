"""The delivered set is the published one, and nothing from outside the workspace."""

from __future__ import annotations

import pytest
from restored_mous import EBS, MOUS

from alma_restore.delivery.contents import gather, link_measurement_sets
from alma_restore.errors import DeliveryFailed


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
            f"{eb}.ms.calapply.txt",
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
    links = link_measurement_sets(workspace, EBS)
    assert links == tuple(workspace.products / f"{uid.sanitised}.ms" for uid in EBS)
    assert all((link / "table.dat").is_file() for link in links)
    assert (workspace.working / f"{EBS[0].sanitised}.ms" / "table.dat").is_file()


def test_the_readme_says_how_to_open_the_data(workspace):
    readme = gather(workspace, MOUS, EBS)["README.txt"].read_text()
    assert f"listobs(vis='{EBS[0].sanitised}.ms')" in readme
    assert all(f"{uid.sanitised}.ms" in readme for uid in EBS)
    assert MOUS in readme
    assert max(map(len, readme.splitlines())) <= 120


def test_a_missing_measurement_set_is_named(workspace):
    (workspace.working / f"{EBS[1].sanitised}.ms" / "table.dat").unlink()
    with pytest.raises(DeliveryFailed, match=EBS[1]):
        gather(workspace, MOUS, EBS)


@pytest.mark.parametrize("target", ["/etc", "/etc/passwd", "nowhere"])
def test_a_link_out_of_the_workspace_is_not_followed(workspace, target):
    (workspace.working / f"{EBS[0].sanitised}.ms" / "LINK").symlink_to(target)
    with pytest.raises(DeliveryFailed, match=r"LINK leads to .*, which is no file of this workspace"):
        gather(workspace, MOUS, EBS)
