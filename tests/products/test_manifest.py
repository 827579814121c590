"""The pipeline manifest: what it says, which one is meant, and what is wrong with a bad one."""

from __future__ import annotations

import pytest
from small_delivery import FIRST, MOUS, SECOND, THIRD, Delivery

import manifest_reader
from alma_restore.errors import Corrupt, Inconsistent
from alma_restore.products import manifest
from alma_restore.uid import Uid


def test_a_manifest_tells_what_calibrated_and_what_was_delivered(delivery):
    found = manifest.read(delivery.manifest)
    assert found.ous_name == MOUS
    assert (found.casa_version, found.pipeline_version, found.procedure) == ("6.5.4", "2023.1.0.124", "hifa_calimage")
    assert found.file_name == f"{MOUS}.hifa_calimage.pipeline_manifest.xml"
    assert found.auxproducts == f"{MOUS}.hifa_calimage.auxproducts.tgz"
    assert found.restorescript == f"{MOUS}.hifa_calimage.casa_piperestorescript.py"
    assert found.eb_uids_by_session() == {"session_1": (Uid(FIRST), Uid(SECOND)), "session_2": (Uid(THIRD),)}
    assert found.sessions[1].caltables == f"{MOUS}.session_2.caltables.tgz"
    third = found.sessions[1].asdms[0]
    assert (third.flagversions, third.calapply) == (f"{THIRD}.ms.flagversions.tgz", f"{THIRD}.ms.calapply.txt")
    assert not third.needs_renormalisation
    assert set(found.needed) == {path.name for path in delivery.files} - {found.file_name, found.auxproducts}


@pytest.mark.parametrize(
    ("element", "needs"),
    [
        ('<hifa_renorm apply="True" threshold="1.02" excludechan="{}"/>', True),
        ('<hifa_renorm apply="False"/>', False),
        ("<hifa_renorm/>", False),
    ],
)
def test_renormalisation_parameters_are_kept_and_those_that_change_data_are_known(delivery, element, needs):
    _edit(
        delivery,
        f'<applycmds name="{THIRD}.ms.calapply.txt"/>',
        f'<applycmds name="{THIRD}.ms.calapply.txt"/>{element}',
    )
    first, _, third = manifest.read(delivery.manifest).asdms
    assert third.needs_renormalisation == needs
    assert ("threshold" in third.renorm) == ("threshold" in element)
    assert first.renorm == {}


def test_what_an_old_manifest_leaves_out_is_empty(delivery):
    for element in ('<casaversion name="6.5.4"/>', '<pipeline_version name="2023.1.0.124"/>'):
        _edit(delivery, element, "")
    found = manifest.read(delivery.manifest)
    assert (found.casa_version, found.pipeline_version) == ("", "")


def test_auxiliary_elements_of_imaging_runs_are_passed_over(delivery):
    extra = f'<aux_caltables name="x.tgz"/><aux_asdm name="{THIRD}_targets.ms"><applycmds name="y.txt"/></aux_asdm>'
    _edit(delivery, "</session>", extra + "</session>")
    assert len(manifest.read(delivery.manifest).asdms) == 3


def test_an_empty_session_needs_no_tables(delivery):
    _edit(delivery, '<session name="session_1">', '<session name="session_3"/><session name="session_1">')
    found = manifest.read(delivery.manifest)
    assert found.eb_uids_by_session()["session_3"] == ()
    assert "" not in found.needed


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("</ous>", "", r"manifest\.xml is not readable XML"),
        ("piperesults", "results", r"<results> in line 2 is not a pipeline manifest's <piperesults>"),
        ('<ous name="', '<ous/><ous name="', "<piperesults> in line 2 holds 2 <ous> instead of one"),
        ('<ous name="uid___A001_X133d_X1ab2">', "<ous>", "<ous> in line 2 has no name"),
        ('<session name="session_2">', "<session>", "<session> in line 11 has no name"),
        (f'<asdm name="{THIRD}.ms">', f'<asdm name="{THIRD}">', f"names '{THIRD}', the MeasurementSet of no"),
        (f'<asdm name="{THIRD}.ms">', '<asdm name="x.ms">', "names 'x.ms', the MeasurementSet of no"),
        (f'name="{THIRD}.ms.calapply.txt"', 'name="../../etc/passwd"', "<applycmds> .* is no plain file name"),
        (f'name="{MOUS}.session_2.caltables.tgz"', 'name="..";', "not readable XML"),
        (f'name="{MOUS}.session_2.caltables.tgz"', 'name=".."', "<caltables> in line 12 names '..'"),
        (f'name="{THIRD}.ms.flagversions.tgz"', 'name=""', "<finalflags> in line 13 has no name"),
        ('<?xml version="1.0" ?>', '<!DOCTYPE a [<!ENTITY b "c">]>', "declares XML entities"),
    ],
)
def test_a_damaged_manifest_is_corrupt_and_the_element_is_named(delivery, old, new, said):
    _edit(delivery, old, new)
    with pytest.raises(Corrupt, match=said) as error:
        manifest.read(delivery.manifest)
    assert delivery.manifest.name in error.value.sentence


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f'<caltables name="{MOUS}.session_2.caltables.tgz"/>', "", "names no <caltables> for session_2"),
        (f'<finalflags name="{THIRD}.ms.flagversions.tgz"/>', "", f"names no <finalflags> for {THIRD}.ms"),
        (f'<applycmds name="{THIRD}.ms.calapply.txt"/>', "", f"names no <applycmds> for {THIRD}.ms"),
        ('"session_2"', '"session_1"', "names session session_1 twice"),
        (f'<asdm name="{THIRD}.ms">', f'<asdm name="{FIRST}.ms">', f"names execution block {FIRST}.ms twice"),
        ("asdm", "image", "names no calibrated execution block"),
    ],
)
def test_a_manifest_that_does_not_say_how_to_restore_is_inconsistent(delivery, old, new, said):
    _edit(delivery, old, new)
    with pytest.raises(Inconsistent, match=said):
        manifest.read(delivery.manifest)


@pytest.mark.parametrize(
    "others",
    [
        [],
        ["hifa_image", "hifa_cubeimage"],
        ["hifa_image_selfcal"],  # has `cal` in its name, too: the first in order is meant
    ],
)
def test_among_several_manifests_the_calibration_run_s_is_meant(delivery, others):
    for recipe in others:
        delivery.path(f"{recipe}.pipeline_manifest.xml").write_text(delivery.manifest_text())
    assert manifest.in_folder(delivery.folder).file_name == delivery.manifest.name


AUXILIARY = (
    f'<session name="session_1"><aux_caltables name="{MOUS}.session_1.auxcaltables.tgz"/>'
    f'<aux_asdm name="{FIRST}_target.ms"><applycmds name="{FIRST}_target.ms.auxcalapply.txt"/></aux_asdm></session>'
)


@pytest.mark.parametrize("recipe", ["hifa_image", "hifa_image_selfcal", "a_selfcal"])
@pytest.mark.parametrize("sessions", ["", '<session name="session_1"/>', AUXILIARY], ids=["none", "empty", "auxiliary"])
@pytest.mark.parametrize("named", ["hifa_calimage.pipeline_manifest.xml", "pipeline_manifest.xml"])
def test_a_manifest_that_names_no_execution_block_is_never_the_calibration_run_s(delivery, recipe, sessions, named):
    meant = delivery.manifest.rename(delivery.path(named))
    delivery.imaging_manifest(recipe, sessions)
    assert manifest.in_folder(delivery.folder).file_name == meant.name
    assert manifest_reader.find((delivery.folder,)) == meant


def test_manifests_of_imaging_runs_alone_cannot_restore(delivery):
    delivery.manifest.unlink()
    other = delivery.imaging_manifest("hifa_image_selfcal")
    with pytest.raises(Inconsistent, match=f"{other.name} names no calibrated execution block"):
        manifest.in_folder(delivery.folder)


def test_a_damaged_manifest_is_told_only_if_it_is_meant(delivery):
    delivery.imaging_manifest("hifa_image").write_text("<piperesults>")
    assert manifest.in_folder(delivery.folder).file_name == delivery.manifest.name
    assert manifest_reader.find((delivery.folder,)) == delivery.manifest
    delivery.manifest.write_text("<piperesults>")
    delivery.imaging_manifest("hifa_image_selfcal")
    with pytest.raises(Corrupt, match=delivery.manifest.name):
        manifest.in_folder(delivery.folder)
    assert manifest_reader.find((delivery.folder,)) == delivery.manifest


def test_a_manifest_without_a_recipe_in_its_name_is_found(delivery):
    delivery.manifest.rename(delivery.path("pipeline_manifest.xml"))
    assert manifest.in_folder(delivery.folder).file_name == f"{MOUS}.pipeline_manifest.xml"


def test_one_manifest_under_two_names_is_one_manifest(delivery):
    (delivery.folder / f"member.{delivery.manifest.name}").write_bytes(delivery.manifest.read_bytes())
    assert len(manifest.in_folder(delivery.folder).asdms) == 3


def test_two_calibrations_of_one_mous_are_not_mixed(delivery):
    other = Delivery(delivery.folder, recipe="hifa_polcal", sessions={"session_1": [FIRST]})
    other.manifest.write_text(other.manifest_text())
    with pytest.raises(Inconsistent, match=r"hifa_calimage.* and .*hifa_polcal.* tell of different calibrations"):
        manifest.in_folder(delivery.folder)


def test_without_a_manifest_nothing_can_be_restored(tmp_path):
    with pytest.raises(Inconsistent, match="no pipeline manifest"):
        manifest.in_folder(tmp_path)


def _edit(delivery: Delivery, old: str, new: str) -> None:
    text = delivery.manifest.read_text()
    assert old in text
    delivery.manifest.write_text(text.replace(old, new))
