"""calapply.txt: read without executing anything, refused where the pipeline would misread it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_delivery import FIRST, SECOND, calapply_of, tables_of

from alma_restore.errors import Corrupt, Inconsistent, Refused
from alma_restore.products import calapply
from alma_restore.products.calapply import ApplyCall
from alma_restore.split import SplitOptions
from alma_restore.uid import Uid

LINE = calapply_of(FIRST).splitlines()[1]


def test_a_call_names_tables_without_their_old_paths_and_how_each_is_applied(write):
    assert calapply.read(write(calapply_of(FIRST))) == (
        ApplyCall(
            vis=f"{FIRST}.ms",
            field="J1",
            intent="BANDPASS",
            spw="0~1",
            antenna="0~9",
            gaintable=tuple(tables_of(FIRST)),
            gainfield=("", "0"),
            spwmap=((), (0, 0)),
            interp=("linear,linear", ""),
            calwt=(True, False),
        ),
    )


@pytest.mark.parametrize(("spwmap", "read"), [("[]", ((),)), ("[0, 0, 2]", ((0, 0, 2),)), ("[[0, 1]]", ((0, 1),))])
def test_values_of_a_single_table_may_stand_alone(write, spwmap, read):
    path = write(
        "applycal(vis='x.ms', field='0', intent='TARGET', spw='17', antenna='', gaintable='/a/b.tbl', "
        f"gainfield='nearest', spwmap={spwmap}, interp='linear', calwt=False)\n"
    )
    (call,) = calapply.read(path)
    assert call.gaintable == ("b.tbl",)
    assert (call.gainfield, call.spwmap, call.interp, call.calwt) == (("nearest",), read, ("linear",), (False,))


def test_comments_and_blank_lines_are_passed_over(write):
    assert len(calapply.read(write(f"# a\n\n{LINE}\n# b\n{LINE}"))) == 2


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("import os", "begin with applycal"),
        (f" {LINE}", "begin with applycal"),
        (LINE.replace("applycal", "print"), "begin with applycal"),
        (LINE[:-30], "never closed|unterminated|invalid"),
        (f"{LINE}; import os", "invalid syntax"),
        (f"{LINE}.x", "one call"),
        (f"{LINE} or {LINE}", "one call"),
        (f"{LINE}()", "one call"),
        (LINE.replace("'J1'", "__import__('os').getcwd()"), "malformed|no text"),
        (LINE.replace("'J1'", "'%s' % 1"), "malformed"),
        (LINE.replace("vis=", "", 1), "one call"),
        (LINE.replace("field='J1', ", ""), "arguments"),
        (LINE.replace("field='J1'", "field='J1', flagbackup=True"), "arguments"),
        (LINE.replace("field='J1'", "field='J1', **{}"), "arguments|malformed"),
        (LINE.replace("'J1'", "1"), "no text"),
        (LINE.replace("['', '0']", "['']"), "1 of gainfield for 2 of gaintable"),
        (LINE.replace("[True, False]", "[True]"), "1 of calwt"),
        (LINE.replace("[True, False]", "[1, 0]"), "no bool"),
        (LINE.replace("[[], [0, 0]]", "[[], [0, 'a']]"), "spwmap"),
        (LINE.replace("[[], [0, 0]]", "[]"), "1 of spwmap"),
        (LINE.replace(f"/old/run/working/{tables_of(FIRST)[0]}", "/"), "no path"),
        ("applycal(vis=" + "(" * 3000 + ")" * 3000 + ")", ""),
    ],
)
def test_anything_but_calls_of_literals_is_corrupt_and_the_line_is_named(write, bad, why):
    with pytest.raises(Corrupt, match=r"calapply\.txt, line 3: .*(" + why + ")"):
        calapply.read(write(f"# head\n{LINE}\n{bad}\n{LINE}\n"))


def test_an_empty_file_and_one_of_other_bytes_are_corrupt(tmp_path, write):
    with pytest.raises(Corrupt, match="holds no applycal call"):
        calapply.read(write("# only a head\n"))
    (tmp_path / "latin.txt").write_bytes(b"applycal(vis='\xe9')")
    with pytest.raises(Corrupt, match=r"latin\.txt cannot be read"):
        calapply.read(tmp_path / "latin.txt")
    with pytest.raises(Corrupt, match=r"absent\.txt cannot be read"):
        calapply.read(tmp_path / "absent.txt")


def test_tables_that_were_not_delivered_are_named(write):
    calls = calapply.read(write(calapply_of(FIRST)))
    calapply.check(calls, "a.txt", f"{FIRST}.ms", [*tables_of(FIRST), *tables_of(SECOND)], "t.tgz")
    with pytest.raises(Inconsistent, match=rf"a\.txt applies {tables_of(FIRST)[1]}, which t\.tgz does not hold"):
        calapply.check(calls, "a.txt", f"{FIRST}.ms", tables_of(FIRST)[:1], "t.tgz")


def test_calls_about_another_measurement_set_are_refused(write):
    calls = calapply.read(write(calapply_of(FIRST)))
    with pytest.raises(Inconsistent, match=rf"calibrates {FIRST}\.ms instead of {SECOND}\.ms"):
        calapply.check(calls, "a.txt", f"{SECOND}.ms", tables_of(FIRST), "t.tgz")


names = st.text(st.characters(codec="ascii", exclude_characters="/\0\r\n"), min_size=1).filter(
    lambda n: n not in (".", "..")
)


@given(st.data(), st.integers(1, 4))
def test_what_the_pipeline_writes_reads_back(tmp_path_factory, data, count):
    def each(of):
        return tuple(data.draw(of) for _ in range(count))

    text = st.text(max_size=8)
    call = ApplyCall(
        data.draw(names),
        *(data.draw(text) for _ in range(4)),
        gaintable=each(names),
        gainfield=each(text),
        spwmap=each(st.lists(st.integers(0, 40), max_size=4).map(tuple)),
        interp=each(text),
        calwt=each(st.booleans()),
    )
    path = tmp_path_factory.getbasetemp() / "hypothesis.calapply.txt"
    path.write_text(_as_the_pipeline_writes(call), encoding="utf-8")
    assert calapply.read(path) == (call,)


def _as_the_pipeline_writes(call: ApplyCall) -> str:
    values = {name: getattr(call, name) for name in call.__slots__}
    values["vis"] = f"/old/{call.vis}"
    values["gaintable"] = [f"/old/{table}" for table in call.gaintable]
    values["spwmap"] = [list(spwmap) for spwmap in call.spwmap]
    for name in ("gaintable", "gainfield", "spwmap", "interp", "calwt"):
        values[name] = values[name][0] if len(call.gaintable) == 1 else list(values[name])
    line = f"applycal({', '.join(f'{name}={value!a}' for name, value in values.items())})\n"
    ast.parse(line)
    return line


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "calapply.txt"
        path.write_text(text)
        return path

    return write


EB = Uid("uid://A002/Xd248b5/Xa7a")


def call_of(intent: str, spw: str) -> str:
    return (
        f"applycal(vis='x.ms', field='0', intent='{intent}', spw='{spw}', antenna='', gaintable='b.tbl', gainfield='', "
        "spwmap=[], interp='linear', calwt=False)\n"
    )


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({}, None),
        ({"spw": "17,19~21"}, None),
        ({"intent": "PHASE,BANDPASS", "spw": "17~19,25"}, None),
        ({"intent": "PHASE", "spw": "25"}, None),
        ({"spw": "17,25"}, "no calibrated TARGET data in spectral window 25 to be split off"),
        ({"spw": "15~17"}, "no calibrated TARGET data in spectral window 15, 16 to be split off"),
        ({"intent": "CHECK"}, "no calibrated CHECK data that could be split off"),
    ],
)
def test_only_what_is_calibrated_can_be_split_off(write, split, said):
    calls = calapply.read(
        write(call_of("BANDPASS", "17,19,21") + call_of("PHASE", "17~21,25") + call_of("TARGET", "17,19,20,21"))
    )
    options = SplitOptions(**split)
    if said is None:
        calapply.check_split(calls, options, EB)
    else:
        with pytest.raises(Refused, match=f"{EB} has {said}") as refusal:
            calapply.check_split(calls, options, EB)
        assert refusal.value.code == "bad_request"


def test_who_asks_for_a_window_that_is_not_there_is_told_which_are(write):
    calls = calapply.read(write(call_of("TARGET", "17,19~21")))
    with pytest.raises(Refused) as refusal:
        calapply.check_split(calls, SplitOptions(spw="3"), EB)
    assert refusal.value.remedy == "Its calibrated spectral windows are 17, 19, 20, 21."
