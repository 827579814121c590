"""The plots: there, telling, small, the same each time, drawn fast; and never what a restore fails of."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy
import pytest
from lxml import etree
from small_mous import EBS, FIRST
from verified_restore import Verified

from alma_restore.casa.casa_home import CASA_SIDE
from alma_restore.casa.installation import Installation
from alma_restore.report import plots
from alma_restore.workspace import Workspace

TITLES = [
    "Amplitude against time",
    "Phase against time",
    "uv coverage of the targets",
    "Amplitude against channel",
    "Phase against channel",
    "Flagged, by antenna",
]


def texts(svg: str) -> list[str]:
    return [element.text for element in _parsed(svg).iter("{*}text") if element.text]


def dots(svg: str) -> int:
    return len(re.findall(r"M[\d.]+ [\d.]+h0", svg))


def test_each_execution_block_has_all_plots(verified: Verified) -> None:
    assert verified.plots.missing == ""
    assert list(verified.plots.by_eb) == list(EBS)
    for drawn in verified.plots.by_eb.values():
        assert [plot.title for plot in drawn] == TITLES
        assert all(_parsed(plot.svg).get("aria-label") == plot.title for plot in drawn)


def test_they_show_the_data(verified: Verified) -> None:
    amplitude_time, phase_time, uv, amplitude_channel, phase_channel, flags = (
        plot.svg for plot in verified.plots.by_eb[FIRST]
    )
    for against_time in (amplitude_time, phase_time):
        assert dots(against_time) == 4 * 600  # two calibrators in two windows, of each so many
        assert {"var(--series-0)", "var(--series-1)"} == set(re.findall(r"var\(--series-\d\)", against_time))
        assert "Time (UTC)" in texts(against_time)
        assert any(re.fullmatch(r"04:3\d", text) for text in texts(against_time))  # it was observed then
    assert dots(uv) > 100
    for against_channel in (amplitude_channel, phase_channel):
        assert len(re.findall(r"stroke: var\(--series-\d\)", against_channel)) == 4
        assert {"0: 97.24 GHz", "1: 109.24 GHz"} <= set(texts(against_channel))
    antennas = [each["name"] for each in verified.facts["execution_blocks"][FIRST]["by_antenna"]]
    assert [text for text in texts(flags) if text in antennas] == antennas
    assert len(re.findall(r"fill: var\(--mark\)", flags)) == len(antennas) == 10


def test_axes_have_units(verified: Verified) -> None:
    said = [set(texts(plot.svg)) for plot in verified.plots.by_eb[FIRST]]
    wanted = ["Amplitude (Jy)", "Phase (°)", "u (m)", "Amplitude (Jy)", "Phase (°)", "Flagged (%)"]
    assert all(unit in labels for unit, labels in zip(wanted, said, strict=True))


def test_drawn_again_they_are_the_same(verified: Verified) -> None:
    assert plots.draw(verified.workspace, verified.installation, EBS) == verified.plots


def test_they_cost_little(verified: Verified) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    plots.draw(verified.workspace, verified.installation, EBS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu_s < 3 * len(EBS)
    assert all(sum(len(plot.svg) for plot in drawn) < 200_000 for drawn in verified.plots.by_eb.values())


def test_a_large_execution_block_has_small_plots_too(verified: Verified, tmp_path: Path) -> None:
    drawn = _draw(verified, tmp_path, _large())
    assert sum(len(plot["svg"]) for plot in drawn) < 300_000
    flags = drawn[-1]["svg"]
    assert 20 <= len([text for text in texts(flags) if text.startswith("DA")]) <= 40


def test_names_cannot_break_out_of_a_plot(verified: Verified, tmp_path: Path) -> None:
    hostile = [
        "</text></svg><script>alert(1)</script>",
        "$\\frac{1}{0}$",
        "\"' onload=alert(1) <!--",
        "M 1 1 \nL 1 1 \n",
    ]
    arrays = _large(antennas=len(hostile))
    arrays["names"] = json.dumps(json.loads(str(arrays["names"])) | {"antennas": hostile})
    for plot in _draw(verified, tmp_path, arrays):
        assert {element.tag.rpartition("}")[2] for element in _parsed(plot["svg"]).iter(etree.Element)} <= {
            *("svg", "g", "path", "text", "use", "defs", "clipPath", "rect")
        }
        assert "<script" not in plot["svg"]
        assert not any(name.startswith("on") for element in _parsed(plot["svg"]).iter() for name in element.attrib)
    assert hostile[0] in texts(plot["svg"])


@pytest.mark.parametrize("empty", ["points", "everything"])
def test_nothing_to_draw_is_drawn_empty(empty: str, verified: Verified, tmp_path: Path) -> None:
    arrays = _large(antennas=3)
    for name, array in arrays.items():
        if name.startswith("points"):
            arrays[name] = array[:, :0]
        if name.startswith("spectrum"):
            arrays[name] = numpy.full_like(array, numpy.nan)
    if empty == "everything":
        arrays = {name: array for name, array in arrays.items() if "_" not in name}
        arrays |= {"uv": numpy.empty((2, 0)), "flagged": numpy.full(3, numpy.nan)}
    assert [plot["title"] for plot in _draw(verified, tmp_path, arrays)] == TITLES


def test_plots_that_cannot_be_drawn_are_a_sentence_and_no_failure(verified: Verified, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "spool").create({})
    without_samples = plots.draw(workspace, verified.installation, [FIRST])
    assert without_samples.by_eb == {}
    assert re.fullmatch(r"The plots could not be drawn: FileNotFoundError.*samples\.npz'\.", without_samples.missing)
    shutil.copy(verified.workspace.logs / f"{FIRST.sanitised}.ms.samples.npz", workspace.logs)
    broken = verified.installation.model_copy(update={"environment": {"PYTHONPATH": str(_broken_matplotlib(tmp_path))}})
    assert "No display, no ink" in plots.draw(workspace, broken, [FIRST]).missing


def test_every_execution_block_has_its_own_time_to_be_drawn_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One limit for all made the plots of a large MOUS vanish."""
    limits: list[float] = []

    def too_slow(command: list[str], *, timeout: float, **_: Any) -> None:
        limits.append(timeout)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", too_slow)
    installation = Installation(
        name="slow", engine="pipeline", casa_version="6.6.1", home=tmp_path, python=tmp_path / "py", scriptdir=tmp_path
    )
    workspace = Workspace(tmp_path / "spool").create({})
    for ebs in (1, 2, 100):
        assert "timed out" in plots.draw(workspace, installation, [FIRST] * ebs).missing
    assert limits == [90, 120, 3060]


def _broken_matplotlib(folder: Path) -> Path:
    (folder / "matplotlib").mkdir()
    (folder / "matplotlib" / "__init__.py").write_text("raise ImportError('No display, no ink')\n")
    return folder


def _large(antennas: int = 66, fields: int = 4, windows: int = 8) -> dict[str, Any]:
    """Samples of a large execution block, as visibility_samples.py saves them."""
    random = numpy.random.default_rng(1)
    arrays: dict[str, Any] = {
        "names": json.dumps(
            {
                "ms": "large.ms",
                "fields": [f"J{number}" for number in range(fields)],
                "antennas": [f"DA{number:02}" for number in range(antennas)],
                "centres_hz": [3.4e11 + 1e9 * number for number in range(windows)],
            }
        ),
        "flagged": random.random(antennas),
        "uv": 5_000 * random.standard_normal((2, 4_000)),
    }
    for field in range(fields):
        for window in range(windows):
            times = 5.1e9 + 4_000 * random.random(4_000)
            arrays[f"points_{field}_{window}"] = numpy.stack([times, *random.standard_normal((2, 4_000))])
            arrays[f"spectrum_{field}_{window}"] = random.standard_normal(3_840) + 1j
    return arrays


def _draw(verified: Verified, folder: Path, arrays: dict[str, Any]) -> list[dict[str, str]]:
    numpy.savez(folder / "large.ms.samples.npz", **arrays)
    subprocess.run(
        [str(verified.installation.python), CASA_SIDE / "plot_figures.py", "figures.json", "large.ms.samples.npz"],
        env={"PATH": os.defpath, "HOME": str(folder), "PYTHONWARNINGS": "error::RuntimeWarning"},
        cwd=folder,
        check=True,
    )
    drawn: list[dict[str, str]] = json.loads((folder / "figures.json").read_text())["large.ms"]
    return drawn


def _parsed(svg: str) -> Any:
    """An SVG as it stands in a page, where no declaration is needed."""
    declared = svg.replace(
        "<svg ", '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ', 1
    )
    return etree.fromstring(declared.encode())
