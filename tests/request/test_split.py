"""Split options: what the pipeline would misread is refused, with a word on what to give."""

import pytest
from pydantic import ValidationError

from alma_restore.split import SplitOptions, delivered, made
from alma_restore.uid import Uid


@pytest.mark.parametrize(
    "options",
    [
        {"intent": "target"},
        {"intent": ""},
        {"intent": "TARGET,"},
        {"intent": "WVR"},  # calibration is not applied to it
        {"spw": "17:0~30"},
        {"spw": "x"},
        {"spw": "17,"},
        {"chanbin": 0},
        {"chanbin": 1.5},
        {"timebin": "0.5s"},  # compared as text by the pipeline, and not averaged
        {"timebin": "30"},
        {"timebin": "-1s"},
        {"timebin": "1e9s"},
        {"field": "0"},  # the pipeline makes a number of it, which CASA refuses
        {"field": "1e5"},
        {"field": "True"},
        {"field": "['a']"},
        {"field": "a\nb"},
        {"keep_full": "perhaps"},
        {"datacolumn": "data"},
    ],
)
def test_what_the_pipeline_would_misread_is_refused(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        SplitOptions(**options)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, SplitOptions(intent="TARGET", chanbin=1, timebin="0s")),
        ({"intent": "PHASE, BANDPASS"}, SplitOptions(intent="PHASE,BANDPASS")),
        ({"spw": " 17 ~ 23, 25 "}, SplitOptions(spw="17~23,25")),
        ({"chanbin": "4", "timebin": " 6.5s "}, SplitOptions(chanbin=4, timebin="6.5s")),
        ({"field": " NGC 253 "}, SplitOptions(field="NGC 253")),
    ],
)
def test_what_can_only_mean_one_thing_is_taken(given, read):
    assert SplitOptions(**given) == read


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "TARGET data"),
        ({"spw": "17,19", "timebin": "30s"}, "TARGET data of spectral windows 17,19, averaged over 30s"),
        (
            {"intent": "PHASE", "field": "J1832-2039", "spw": "17", "chanbin": 2, "timebin": "6.5s"},
            "PHASE data of J1832-2039 of spectral windows 17, 2 channels averaged into one, averaged over 6.5s",
        ),
    ],
)
def test_a_split_is_told_in_words(options, words):
    assert SplitOptions(**options).in_words == words


EB = Uid("uid://A002/Xd248b5/Xa7a")


@pytest.mark.parametrize(
    ("split", "handed_over"),
    [
        (None, ("uid___A002_Xd248b5_Xa7a.ms",)),
        (SplitOptions(), ("uid___A002_Xd248b5_Xa7a_targets.ms",)),
        (SplitOptions(keep_full=True), ("uid___A002_Xd248b5_Xa7a.ms", "uid___A002_Xd248b5_Xa7a_targets.ms")),
    ],
)
def test_who_asks_for_a_part_gets_the_part_alone_unless_they_say_so(split, handed_over):
    assert delivered(EB, split) == handed_over
    assert set(handed_over) <= set(made(EB, split))
