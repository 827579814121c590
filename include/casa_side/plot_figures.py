"""Draw the report's plots from what verify_ms.py has sampled.

`python plot_figures.py <figures.json> <ms>.samples.npz ...`: into the file goes, for each MeasurementSet by its name, a
list of `{"title": text, "svg": text}`. Each SVG is for the inside of an HTML page, whose style sheet gives the colours:
`currentColor` for text, `--axis` for axes, `--series-0` ... `--series-6` for the calibrators in order of field id, and
`--mark` for what is not about calibrators.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline

_SIZE_PT = (400, 250)
_FRAME = (0.135, 0.175, 0.845, 0.785)
_SERIES = 7
_POINTS_DRAWN = 2_400
_UV_DRAWN = 1_200
_CHANNELS_DRAWN = 800
_UNIX_EPOCH_MJD = 40_587

# Colours that stand for those of the page.
_INK, _AXIS, _MARK = "#000001", "#000002", "#000003"
_IN_THE_PAGE = {_INK: "currentColor", _AXIS: "var(--axis)", _MARK: "var(--mark)"} | {
    f"#0000a{number}": f"var(--series-{number})" for number in range(_SERIES)
}

_STYLE = {
    "axes.edgecolor": _AXIS,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.labelsize": 10,
    "xtick.color": _AXIS,
    "xtick.labelcolor": _INK,
    "xtick.labelsize": 9,
    "ytick.color": _AXIS,
    "ytick.labelcolor": _INK,
    "ytick.labelsize": 9,
    "font.sans-serif": ["DejaVu Sans"],
    "svg.fonttype": "none",
    "text.parse_math": False,  # names are names, whatever dollar signs they hold
}


class Samples:
    """What visibility_samples.py has saved of one MeasurementSet.

    Attributes:
        points: by field and window: time (days since 1970), visibility.
        spectra: by field and window: average visibility of each channel.
    """

    def __init__(self, path: Path) -> None:
        with numpy.load(path) as saved:
            arrays = {name: saved[name] for name in saved.files}
        names = json.loads(str(arrays["names"]))
        self.ms: str = names["ms"]
        self.antennas: list[str] = names["antennas"]
        self.centres_hz: list[float] = names["centres_hz"]
        self.flagged: numpy.ndarray = arrays["flagged"]
        self.uv: numpy.ndarray = arrays["uv"]
        self.points = {key: (days(rows[0]), rows[1] + 1j * rows[2]) for key, rows in _by_key(arrays, "points")}
        self.spectra = dict(_by_key(arrays, "spectrum"))

    @property
    def calibrators(self) -> list[int]:
        """Their field ids; a calibrator's place in the list is the number of its colour."""
        return sorted({field for field, _ in self.points})

    @property
    def windows(self) -> list[int]:
        return sorted({window for _, window in self.points})


def days(mjd_seconds: numpy.ndarray) -> numpy.ndarray:
    """From the MeasurementSet's clock to matplotlib's."""
    return mjd_seconds / 86_400 - _UNIX_EPOCH_MJD


def amplitude_against_time(axes: Axes, samples: Samples) -> None:
    _against_time(axes, samples, numpy.abs)
    _amplitude_axis(axes)


def phase_against_time(axes: Axes, samples: Samples) -> None:
    _against_time(axes, samples, _phase)
    _phase_axis(axes)


def amplitude_against_channel(axes: Axes, samples: Samples) -> None:
    _against_channel(axes, samples, numpy.abs)
    _amplitude_axis(axes)


def phase_against_channel(axes: Axes, samples: Samples) -> None:
    _against_channel(axes, samples, _phase)
    _phase_axis(axes)


def uv_coverage(axes: Axes, samples: Samples) -> None:
    metres = samples.uv[:, :_UV_DRAWN]
    longest = max(1, numpy.hypot(*metres).max(initial=0))
    scale, unit = (1_000, "km") if longest > 2_000 else (1, "m")
    u, v = metres / scale
    _dots(axes, numpy.concatenate([u, -u]), numpy.concatenate([v, -v]), _MARK, size=2.8)
    reach = 1.1 * longest / scale
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel=f"u ({unit})", ylabel=f"v ({unit})", aspect="equal")
    axes.locator_params(nbins=5)


def flags_by_antenna(axes: Axes, samples: Samples) -> None:
    percent = 100 * numpy.nan_to_num(samples.flagged)
    places = numpy.arange(percent.size)
    axes.bar(places, percent, width=0.7, color=_MARK)
    labelled = places[:: 1 + percent.size // 40]
    axes.set_xticks(labelled, [samples.antennas[place] for place in labelled], rotation=90, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, min(100, max(10, 1.15 * percent.max(initial=0)))), ylabel="Flagged (%)")


_PLOTS: dict[str, Callable[[Axes, Samples], None]] = {
    "Amplitude against time": amplitude_against_time,
    "Phase against time": phase_against_time,
    "uv coverage of the targets": uv_coverage,
    "Amplitude against channel": amplitude_against_channel,
    "Phase against channel": phase_against_channel,
    "Flagged, by antenna": flags_by_antenna,
}


def draw(samples: Samples) -> list[dict[str, str]]:
    """All plots of one MeasurementSet; the same samples give the same text."""
    return [{"title": title, "svg": _svg(plot, samples, title)} for title, plot in _PLOTS.items()]


def _svg(plot: Callable[[Axes, Samples], None], samples: Samples, title: str) -> str:
    with rc_context(_STYLE | {"svg.hashsalt": f"{samples.ms} {title}"}):
        figure = Figure(figsize=(_SIZE_PT[0] / 72, _SIZE_PT[1] / 72), dpi=72)
        axes = figure.add_axes(_FRAME)
        plot(axes, samples)
        text = StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    return _for_html(text.getvalue(), title)


def _for_html(svg: str, title: str) -> str:
    """Only the drawing, at the size its place gives it, in the page's colours, in tenths of a point."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-label="{title}">', svg, count=1)
    return re.sub(r"<[^>]*>", _tag_for_html, svg)


def _tag_for_html(found: re.Match[str]) -> str:
    tag = re.sub(r'<g id="[^"]*"', "<g", found[0])
    tag = re.sub(r"-?\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}", tag)
    tag = re.sub(r"M (\S+ \S+) \nL \1 \n", r"M\1h0", tag)
    return re.sub("|".join(_IN_THE_PAGE), lambda colour: _IN_THE_PAGE[colour[0]], tag)


def _against_time(axes: Axes, samples: Samples, of: Callable[[numpy.ndarray], numpy.ndarray]) -> None:
    shown = max(1, _POINTS_DRAWN // max(1, len(samples.points)))
    for (field, _), (times, visibilities) in sorted(samples.points.items()):
        _dots(axes, times[:shown], of(visibilities[:shown]), _series(samples.calibrators.index(field)))
    axes.autoscale_view()
    locator = AutoDateLocator(minticks=3, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
    axes.set_xlabel("Time (UTC)")


def _against_channel(axes: Axes, samples: Samples, of: Callable[[numpy.ndarray], numpy.ndarray]) -> None:
    """Window beside window, each as wide as the others."""
    shown = max(16, _CHANNELS_DRAWN // max(1, len(samples.spectra)))
    for (field, window), spectrum in sorted(samples.spectra.items()):
        values = of(_binned(spectrum, shown))
        place = samples.windows.index(window)
        axes.plot(
            place + numpy.linspace(0.04, 0.96, values.size),
            values,
            color=_series(samples.calibrators.index(field)),
            linewidth=1.3,
            drawstyle="steps-mid",
        )
    places = range(len(samples.windows))
    for place in places[1:]:
        axes.axvline(place, color=_AXIS, linewidth=0.6)
    names = [f"{window}: {samples.centres_hz[window] / 1e9:.2f} GHz" for window in samples.windows]
    if len(names) > 4:
        names = [str(window) for window in samples.windows]
    axes.set_xticks([place + 0.5 for place in places], names)
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(0, max(1, len(places))), xlabel="Channels of each spectral window")


def _binned(spectrum: numpy.ndarray, shown: int) -> numpy.ndarray:
    """At most so many channels: averages over neighbours."""
    width = -(-spectrum.size // shown)
    whole = spectrum[: spectrum.size // width * width].reshape(-1, width)
    seen = numpy.isfinite(whole)
    averages = numpy.where(seen, whole, 0).sum(axis=1) / numpy.maximum(seen.sum(axis=1), 1)
    return numpy.where(seen.any(axis=1), averages, numpy.nan)


def _dots(axes: Axes, x: numpy.ndarray, y: numpy.ndarray, colour: str, size: float = 2.2) -> None:
    """All of them as one path of dots, a tenth of the size of single markers."""
    if not x.size:
        return
    ends = numpy.repeat(numpy.column_stack([x, y]), 2, axis=0)
    codes = numpy.tile([Outline.MOVETO, Outline.LINETO], x.size)
    outline = Outline(ends, codes)
    outline.should_simplify = False
    dots = PathPatch(outline, edgecolor=colour, fill=False, linewidth=size, alpha=0.6, capstyle="round")
    axes.add_artist(dots)  # add_patch would look at every dot for the limits, in Python
    axes.update_datalim(ends)


def _amplitude_axis(axes: Axes) -> None:
    axes.set_ylim(0, 1.08 * axes.dataLim.y1 if numpy.isfinite(axes.dataLim.y1) and axes.dataLim.y1 > 0 else 1)
    axes.set_ylabel("Amplitude (Jy)")


def _phase_axis(axes: Axes) -> None:
    lowest, highest = axes.dataLim.y0, axes.dataLim.y1
    reach = max(abs(lowest), abs(highest)) if numpy.isfinite([lowest, highest]).all() else 0
    reach = min(180, max(5, 1.15 * reach))
    axes.set_ylim(-reach, reach)
    axes.axhline(0, color=_AXIS, linewidth=0.6, zorder=0)
    axes.set_ylabel("Phase (°)")


def _phase(visibilities: numpy.ndarray) -> numpy.ndarray:
    return numpy.angle(visibilities, deg=True)


def _series(number: int) -> str:
    return f"#0000a{number % _SERIES}"


def _by_key(arrays: dict[str, Any], kind: str) -> Iterator[tuple[tuple[int, int], Any]]:
    for name, array in arrays.items():
        first, _, numbers = name.partition("_")
        if first == kind:
            field, window = numbers.split("_")
            yield (int(field), int(window)), array


def main() -> None:
    drawn = {samples.ms: draw(samples) for samples in map(Samples, map(Path, sys.argv[2:]))}
    Path(sys.argv[1]).write_text(json.dumps(drawn))


if __name__ == "__main__":
    main()
