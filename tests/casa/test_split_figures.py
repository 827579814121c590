"""What is split off is held against what it was split from: good ones pass, and each way of being wrong is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_mous import FIRST

from alma_restore.archive.asdm_structure import AsdmFacts
from alma_restore.casa import verification
from alma_restore.casa.installations import Installation
from alma_restore.errors import CasaFailed
from alma_restore.settings import VerificationSettings
from alma_restore.split import SplitOptions
from alma_restore.workspace import Workspace

MAKE_AND_LOOK = """
import json, shutil, sys
from pathlib import Path
from casaconfig import config
config.logfile = "/dev/null"
sys.path.insert(0, sys.argv[2])
import numpy
from casatasks import clearcal, importasdm, mstransform
from casatools import table
import split_figures
from observation import Identity
from synthetic_sky import Sizes, write_synthetic_asdm

def make(name, spw="0,1", intent="OBSERVE_TARGET#ON_SOURCE", of=sys.argv[1], **averaging):
    of = dict(vis=of, outputvis=name, datacolumn="corrected", reindex=False, spw=spw, intent=intent)
    mstransform(**of, **averaging)

def spoil(name, change):
    main = table()
    main.open(name, nomodify=False)
    change(main)
    main.close()

def look(name, of=sys.argv[1], **options):
    found[name] = split_figures.figures(Path(of), Path(name), options, {0, 1})

def calibrated(name, change):
    shutil.copytree(sys.argv[1], name)
    spoil(name, change)

found = {}
make("whole")
look("whole")
make("channels", chanaverage=True, chanbin=5)
look("channels", chanbin="5")
make("one channel", chanaverage=True, chanbin=32)
look("one channel", chanbin="1000")
make("times", timeaverage=True, timebin="30s")
look("times", timebin="30s")
make("both", spw="1", timeaverage=True, timebin="12.2s", chanaverage=True, chanbin=2)
look("both", spw="1", timebin="12.2s", chanbin="2")
make("phase", intent="CALIBRATE_PHASE#ON_SOURCE", spw="0")
look("phase", intent="PHASE", spw="0", field="J1832-2039")

look("both", spw="0~1", timebin="12.2s", chanbin="2")
found["window lacks"] = found.pop("both")
look("both", spw="1", timebin="12.2s", chanbin="2")
look("whole", spw="1")
found["window too many"] = found.pop("whole")
look("whole", timebin="30s")
found["not averaged"] = found.pop("whole")
look("whole", chanbin="2")
found["channels not averaged"] = found.pop("whole")
look("whole")
look("times")
found["averaged"] = found.pop("times")
look("times", timebin="30s")

make("doubled")
spoil("doubled", lambda main: main.putcol("DATA", 2 * main.getcol("DATA")))
look("doubled")
make("not a number")
spoil("not a number", lambda main: main.putcol("DATA", main.getcol("DATA") * numpy.nan))
look("not a number")
make("unflagged")
spoil("unflagged", lambda main: main.putcol("FLAG", numpy.zeros_like(main.getcol("FLAG"))))
look("unflagged")
make("all flagged", chanaverage=True, chanbin=2)
spoil("all flagged", lambda main: main.putcol("FLAG", numpy.ones_like(main.getcol("FLAG"))))
look("all flagged", chanbin="2")
make("a scan gone", timeaverage=True, timebin="30s", scan="3")
look("a scan gone", timebin="30s")

def flag_ends(main):
    flags, scans, times = (main.getcol(name) for name in ("FLAG", "SCAN_NUMBER", "TIME"))
    for scan in (3, 5):
        flags[..., (scans == scan) & (times == times[scans == scan].max())] = True
    main.putcol("FLAG", flags)

calibrated("ends flagged", flag_ends)
make("flagged at the ends", of="ends flagged", timeaverage=True, timebin="30s")
look("flagged at the ends", timebin="30s")
found["ends left out"] = found.pop("flagged at the ends")
look("flagged at the ends", of="ends flagged", timebin="30s")

def flag_a_channel_of_no_numbers(main):
    flags, corrected = main.getcol("FLAG"), main.getcol("CORRECTED_DATA")
    flags[:, 7], corrected[:, 7] = True, numpy.nan
    main.putcol("FLAG", flags)
    main.putcol("CORRECTED_DATA", corrected)

calibrated("no numbers flagged", flag_a_channel_of_no_numbers)
make("beside no numbers", of="no numbers flagged")
look("beside no numbers", of="no numbers flagged")
shutil.copytree("beside no numbers", "doubled beside no numbers")
spoil("doubled beside no numbers", lambda main: main.putcol("DATA", 2 * main.getcol("DATA")))
look("doubled beside no numbers", of="no numbers flagged")

def point_in_turn(main):
    fields, scans, times = (main.getcol(name) for name in ("FIELD_ID", "SCAN_NUMBER", "TIME"))
    target = fields[scans == 3][0]
    for scan in (3, 5):
        for number, time in enumerate(numpy.unique(times[scans == scan])):
            fields[(scans == scan) & (times == time)] = [target, pointings, pointings + 1][number % 3]
    main.putcol("FIELD_ID", fields)

def mix_up(main):
    fields = main.getcol("FIELD_ID")
    main.putcol("FIELD_ID", numpy.where(fields == pointings + 1, pointings, fields))

shutil.copytree(sys.argv[1], "three pointings")
fields = table()
fields.open("three pointings/FIELD", nomodify=False)
pointings = fields.nrows()
for _ in range(2):
    fields.copyrows("three pointings/FIELD", fields.getcol("NAME").tolist().index("DemoTarget"), -1, 1)
fields.close()
spoil("three pointings", point_in_turn)
make("mosaic", of="three pointings", timeaverage=True, timebin="60s")
look("mosaic", of="three pointings", timebin="60s")
shutil.copytree("mosaic", "pointings mixed up")
spoil("pointings mixed up", mix_up)
look("pointings mixed up", of="three pointings", timebin="60s")
def shine(main):
    corrected = main.getcol("CORRECTED_DATA")
    corrected[:, 1000] *= 20_000
    main.putcol("CORRECTED_DATA", corrected)

def miss_a_part(main):
    data = main.getcol("DATA")
    data[:, 1000] *= 1 + 4e-6
    main.putcol("DATA", data)

of_one = Identity("uid://A002/Xb/X1", "uid://A001/Xb/X1", "uid://A001/Xb/X2", "uid://A001/Xb/X3")
write_synthetic_asdm(Path("maser"), of_one, "2023-01-01T00:00:00", Sizes(antennas=5, windows=1, channels=1920), 1)
importasdm("maser", vis="maser.ms", process_caldevice=False)
clearcal("maser.ms")
spoil("maser.ms", shine)
make("bright line", spw="0", of="maser.ms", timeaverage=True, timebin="30s")
look("bright line", of="maser.ms", timebin="30s")
shutil.copytree("bright line", "wrong line")
spoil("wrong line", miss_a_part)
look("wrong line", of="maser.ms", timebin="30s")
Path(sys.argv[3]).write_text(json.dumps(found))
"""

Figures = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def figures(
    restored: Workspace, run_in_casa: Callable[..., str], casa_side: Path, tmp_path_factory: pytest.TempPathFactory
) -> Figures:
    """What is seen of several splits of one calibrated MeasurementSet, by name."""
    folder = tmp_path_factory.mktemp("splits")
    ms = restored.working / f"{FIRST.sanitised}.ms"
    run_in_casa("-c", MAKE_AND_LOOK, ms, casa_side, folder / "found.json", cwd=folder)
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize(
    ("name", "rows", "channels"),
    [
        ("whole", 1760, {"0": 32, "1": 32}),
        ("channels", 1760, {"0": 6, "1": 6}),  # two of 32 do not fill a last one
        ("one channel", 1760, {"0": 1, "1": 1}),
        ("times", 440, {"0": 32, "1": 32}),
        ("both", 330, {"1": 16}),
        ("phase", 660, {"0": 32}),
        ("flagged at the ends", 440, {"0": 32, "1": 32}),  # the last integration of each scan is
        ("beside no numbers", 1760, {"0": 32, "1": 32}),
        ("bright line", 60, {"0": 1920}),  # of a maser: rounded by more than the other channels amount to
        ("mosaic", 660, {"0": 32, "1": 32}),  # of three pointings in turn, each averaged by itself
    ],
)
def test_a_right_split_is_seen_to_be_the_average_of_the_calibrated_data(
    figures: Figures, name: str, rows: int, channels: dict[str, int]
) -> None:
    found = figures[name]
    assert found["rows"] == rows
    assert found["fields"] == (["J1832-2039"] if name == "phase" else ["DemoTarget"])
    assert {spw: window["channels"] for spw, window in found["windows"].items()} == channels
    assert (found["missing"], found["strays"], found["differ"], found["lost_flags"]) == ([], 0, 0, 0)
    assert found["compared"] > 100
    assert found["flagged"] < 0.5


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("window lacks", {"missing"}),
        ("window too many", {"strays"}),
        ("channels not averaged", {"differ"}),
        ("averaged", {"missing"}),
        ("doubled", {"differ"}),
        ("not a number", {"differ"}),
        ("unflagged", {"lost_flags"}),
        ("all flagged", {"differ"}),
        ("a scan gone", {"missing"}),
        ("ends left out", {"missing"}),  # which are not flagged
        ("pointings mixed up", {"missing"}),
        ("wrong line", {"differ"}),
        ("doubled beside no numbers", {"differ"}),
    ],
)
def test_a_wrong_split_is_seen(figures: Figures, name: str, seen: set[str]) -> None:
    found = figures[name]
    assert {figure for figure in ("missing", "strays", "differ", "lost_flags") if found[figure]} == seen


FACTS = AsdmFacts(
    uid=FIRST, size_bytes=1, main_rows=1, integrations=1, scans=(1,), fields=("M 1",), antennas=3,
    spectral_windows=20, ms_rows=1,
)  # fmt: skip
TARGET = {
    "name": "M 1", "intents": ["TARGET"], "samples": 10, "open": 9, "flagged": 0.1, "not_finite": 0, "lost_flags": 0,
    "changed": True, "spectral_windows": {},
}  # fmt: skip
SPLIT = SplitOptions(spw="17,19", chanbin=4)
GOOD = {
    "rows": 10, "rows_wanted": 10, "fields": ["M 1"], "missing": [], "strays": 0, "flagged": 0.1, "compared": 9,
    "differ": 0, "lost_flags": 0, "windows": {"17": {"channels": 32, "of": 128}, "19": {"channels": 30, "of": 120}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"windows": {"17": {"channels": 32, "of": 128}}}, "it has no spectral window 19"),
        (
            {"windows": {"17": {"channels": 128, "of": 128}, "19": {"channels": 30, "of": 120}}},
            "spectral window 17 has 128 channels instead of 32",
        ),
        ({"windows": {"17": {"channels": 1, "of": 3}, "19": {"channels": 30, "of": 120}}}, None),
        ({"rows": 0, "missing": ["scan 3, window 17: 0 rows of 10"]}, "lacks data .scan 3, window 17.*; it is empty"),
        ({"strays": 7}, "7 rows that nobody asked for"),
        ({"differ": 3}, "3 of its samples are not those of the calibrated data"),
        ({"lost_flags": 2}, "2 of its samples have lost their flags"),
    ],
)
def test_what_is_wrong_with_a_split_fails_the_restore(
    change: dict[str, Any], said: str | None, workspace: Workspace, casa_python: Path, tmp_path: Path
) -> None:
    """A program that stands in for CASA's Python tells the figures."""
    eb = FIRST.sanitised
    for name in (f"{eb}.ms", f"{eb}_targets.ms"):
        (workspace.working / name).mkdir()
    whole = {
        "corrected": True, "missing_rows": [], "scans": [1], "fields": ["M 1"], "antennas": 3, "spectral_windows": 20,
        "by_field": [TARGET], "split": {**GOOD, **change},
    }  # fmt: skip
    (tmp_path / "figures.json").write_text(json.dumps({str(workspace.working / f"{eb}.ms"): whole}))
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase $1 in *verify_ms.py) cp {tmp_path}/figures.json "$2";; *) exec {casa_python} "$@";; esac\n'
    )
    python.chmod(0o755)
    installation = Installation(name="told", engine="casatasks", casa_version="6.7.0", python=python)

    def verify() -> None:
        verification.verify(workspace, installation, {FIRST: FACTS}, VerificationSettings(), SPLIT)

    if said is None:
        verify()
    else:
        with pytest.raises(CasaFailed, match=f"What was split off of {FIRST} is not right: .*{said}"):
            verify()


def test_a_split_that_was_not_made_is_named(workspace: Workspace, installation: Installation) -> None:
    (workspace.working / f"{FIRST.sanitised}.ms").mkdir()
    with pytest.raises(CasaFailed, match=f"no MeasurementSet {FIRST.sanitised}_targets.ms"):
        verification.verify(workspace, installation, {FIRST: FACTS}, VerificationSettings(), SPLIT)
