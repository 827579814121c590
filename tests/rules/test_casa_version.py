"""The CASA version policy: the same, else the nearest newer, else a refusal; an explicit choice wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alma_restore.errors import Inconsistent, Refused
from alma_restore.rules.casa_version import CasaVersion, choose

# What the observatory calibrated with (DOMAIN section 8).
OBSERVATORY = (
    *("5.1.1-5", "5.4.0-68", "5.4.0-70", "5.6.1-8", "6.1.1-10", "6.1.1-15", "6.2.1-7"),
    *("6.4.1-12", "6.5.4-9", "6.6.1-17", "6.6.6-17", "6.6.6-18"),
)


@pytest.mark.parametrize("wanted", OBSERVATORY)
def test_with_every_version_installed_the_one_that_calibrated_restores(wanted):
    choice = choose(wanted, reversed(OBSERVATORY))
    assert (choice.version, choice.how) == (wanted, "same")


@pytest.mark.parametrize(
    ("wanted", "installed", "version", "how"),
    [
        ("5.1.1-5", ["6.7.0-31", "5.4.0-70", "5.6.1-8"], "5.4.0-70", "newer"),
        ("5.4.0-68", ["5.4.0-70", "6.1.1-15"], "5.4.0-70", "newer"),
        ("6.1.1-10", ["6.1.1-9", "6.1.1-15"], "6.1.1-15", "newer"),
        ("6.5.4-9", ["6.5.4-10", "6.5.4-9"], "6.5.4-9", "same"),
        ("6.5.4-9", ["6.10.0-1", "6.6.6-18"], "6.6.6-18", "newer"),
        ("6.6.6-9", ["6.6.6-18", "6.6.6-17"], "6.6.6-17", "newer"),
        ("6.5.4", ["6.5.4-9"], "6.5.4-9", "same"),
        ("6.5.4", ["6.5.4-9", "6.5.4-10"], "6.5.4-10", "same"),
        ("6.5.4-9", ["6.5.4"], "6.5.4", "same"),
        ("6.5.4.9", ["6.5.4-9", "6.5.4-10"], "6.5.4-9", "same"),
        ("6.7.5", ["6.7.5-18"], "6.7.5-18", "same"),
        ("6.5.4", ["6.7.0-31"], "6.7.0-31", "newer"),
        ("5.6.1-8 (r1234)", ["CASA 5.6.1-8"], "CASA 5.6.1-8", "same"),
    ],
)
def test_the_same_version_else_the_nearest_newer_one(wanted, installed, version, how):
    choice = choose(wanted, installed)
    assert (choice.version, choice.how) == (version, how)
    assert version in choice.sentence
    assert wanted in choice.sentence


@pytest.mark.parametrize("installed", [[], ["6.5.4-9"], ["6.6.6-17", "5.1.1-5"]])
def test_without_the_same_or_a_newer_one_the_refusal_says_which_is_needed_and_which_are_there(installed):
    with pytest.raises(Refused) as refusal:
        choose("6.6.6-18", installed)
    assert refusal.value.code == "casa_not_installed"
    assert "6.6.6-18" in refusal.value.sentence
    for each in installed:
        assert each in refusal.value.sentence


@pytest.mark.parametrize(
    ("wanted", "override", "version", "said"),
    [
        ("6.5.4-9", "6.6.1-17", "6.6.1-17", "CASA 6.5.4-9 calibrated."),
        ("6.5.4-9", "6.6.1", "6.6.1-17", "CASA 6.5.4-9 calibrated."),
        ("6.6.1-17", "5.4.0", "5.4.0-68", "older"),
        ("6.6.1", "6.6.1-17", "6.6.1-17", "also the version that calibrated"),
        ("", "6.6.1-17", "6.6.1-17", "as explicitly asked for."),
        ("", "/opt/casa/casa-release-5.4.0-68", "5.4.0-68", "as explicitly asked for."),
    ],
)
def test_an_explicit_choice_wins_and_the_sentence_records_it(wanted, override, version, said):
    choice = choose(wanted, ["5.4.0-68", "6.5.4-9", "6.6.1-17"], override=override)
    assert (choice.version, choice.how) == (version, "override")
    assert said in choice.sentence


@pytest.mark.parametrize("override", ["6.6.1-16", "6.6.6", "newest", "6.6"])
def test_an_explicit_choice_that_is_not_installed_is_refused_with_what_is(override):
    with pytest.raises(Refused, match=rf"CASA {override} is asked for.*6\.6\.1-17") as refusal:
        choose("6.6.1-17", ["6.6.1-17"], override=override)
    assert refusal.value.code == "casa_not_installed"


def test_when_nobody_says_what_calibrated_somebody_has_to_choose():
    with pytest.raises(Refused, match="does not say") as refusal:
        choose("", ["6.7.0-31"])
    assert refusal.value.code == "casa_unknown"
    assert "6.7.0-31" in refusal.value.remedy


@pytest.mark.parametrize(
    ("text", "release", "build"),
    [
        ("6.5.4-9", (6, 5, 4), 9),
        ("6.5.4", (6, 5, 4), None),
        ("CASA 6.6.1-17", (6, 6, 1), 17),
        ("6.7.0.31", (6, 7, 0), 31),
        ("casa-6.5.4-9-pipeline-2023.1.0.124-py3.8", (6, 5, 4), 9),
        ("4.7.2-REL (r39762)", (4, 7, 2), None),
    ],
)
def test_versions_are_read_however_they_are_spelled(text, release, build):
    assert CasaVersion.parse(text) == CasaVersion(release, build)


@pytest.mark.parametrize("text", ["", "newest", "6.5", "6.5.", "six.five.four"])
def test_what_is_no_version_is_named(text):
    with pytest.raises(Inconsistent, match="no CASA version"):
        CasaVersion.parse(text)


versions = st.builds(
    CasaVersion,
    st.tuples(st.integers(4, 7), st.integers(0, 11), st.integers(0, 3)),
    st.none() | st.integers(0, 120),
)


@given(versions)
def test_a_version_reads_back_as_itself(version):
    assert CasaVersion.parse(str(version)) == version


@given(versions, st.sets(versions))
def test_the_choice_is_the_best_that_is_installed(wanted, installed):
    suitable = [each for each in installed if each.same_as(wanted) or each.order > wanted.order]
    try:
        choice = choose(str(wanted), map(str, installed))
    except Refused:
        assert not suitable
        return
    chosen = CasaVersion.parse(choice.version)
    assert chosen in suitable
    if choice.how == "newer":
        assert not any(each.same_as(wanted) for each in installed)
        assert all(chosen.order <= each.order for each in suitable)


@given(versions, st.sets(versions, min_size=1), st.data())
def test_an_installed_override_is_always_followed(wanted, installed, data):
    override = data.draw(st.sampled_from(sorted(installed, key=lambda each: each.order)))
    choice = choose(str(wanted), map(str, installed), override=str(override))
    assert choice.how == "override"
    assert CasaVersion.parse(choice.version).same_as(override)
