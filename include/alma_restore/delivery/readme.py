"""README.txt: what a delivery is, and how to open it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from alma_restore.split import SplitOptions
from alma_restore.uid import Uid

_WHOLE = """\
The column DATA holds the raw visibilities, CORRECTED_DATA the calibrated ones; the flags are those at the end of the
observatory's calibration."""
_SPLIT = """\
In those named ..._targets.ms the column DATA holds the calibrated visibilities of what was asked for:
{what}."""
_OPEN_WHOLE = """\
  plotms(vis='{ms}', spw='{spw}',
         ydatacolumn='corrected', xaxis='frequency', yaxis='amp')
Image with tclean(..., spw='{spw}', datacolumn='corrected').
To go on with the calibrated data of the targets alone:
  split(vis='{ms}', outputvis='target.ms', intent='*TARGET*',
        spw='{spw}', datacolumn='corrected')
Spectral windows that ALMA records for itself, such as channel averages, are not calibrated."""
_OPEN_SPLIT = """\
  plotms(vis='{ms}', ydatacolumn='data', xaxis='frequency', yaxis='amp')
Image with tclean(..., datacolumn='data')."""


def write(
    mous_uid: Uid, names: Sequence[str], windows: Mapping[str, str], split: SplitOptions | None, tar: bool
) -> str:
    """The text of README.txt.

    Args:
        names: of the MeasurementSets.
        windows: of each whole MeasurementSet those in which targets are calibrated, as CASA selects them.
        split: what was split off.
        tar: each MeasurementSet is one tar file.
    """
    listed = "\n".join(f"  {name}{'.tar' if tar else ''}" for name in names)
    columns = "\n".join(_columns(split))
    first = names[0]
    how_to_open = "\n".join(_open(first, {name: windows[name] for name in names if name in windows}))
    return f"""\
Calibrated data of ALMA MOUS {mous_uid}

MeasurementSets of each execution block that passed QA0{", each of them a tar file" if tar else ""}.
{columns}
{listed}

Is everything here as it was delivered?
  sha256sum -c --quiet SHA256SUMS
{_unpack(first) if tar else ""}
Open it in CASA:
  listobs(vis='{first}')
{how_to_open}

What else is here
  report.html                   this restore on one page, with plots: open it in a browser
  restore.json                  what was checked after the restore, with the figures
  PPR.xml                       the pipeline processing request of this restore
  *.caltables.tgz, *.calapply.txt   the calibration tables, and how they were applied
  *.flagversions.tgz            the flags at the end of the observatory's calibration
  *pipeline_manifest.xml        what the observatory's calibration run made, and with which CASA
  *casa_piperestorescript.py    restores by hand, as report.html tells; *casa_pipescript.py calibrates anew
  *.weblog.tgz                  the web pages of the calibration run
"""


def _columns(split: SplitOptions | None) -> Iterator[str]:
    if split is None or split.keep_full:
        yield _WHOLE
    if split is not None:
        yield _SPLIT.format(what=split.in_words)


def _open(first: str, windows: Mapping[str, str]) -> Iterator[str]:
    if first not in windows:
        yield _OPEN_SPLIT.format(ms=first)
        return
    yield _OPEN_WHOLE.format(ms=first, spw=windows[first])
    if len(set(windows.values())) > 1:
        yield "The calibrated ones differ from one MeasurementSet to another:"
        yield from (f"  {name}: spw='{spw}'" for name, spw in windows.items())


def _unpack(name: str) -> str:
    return f"""
Unpack:
  tar -xf {name}.tar
"""
