"""Which CASA can renormalise again what a calibration has renormalised."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from alma_restore.products.manifest import Manifest
from alma_restore.rules.casa_version import CasaVersion

_Release = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Reader:
    """What the pipelines since one CASA release can read of a manifest's `hifa_renorm`; what they cannot ends the run.

    Attributes:
        since: the release.
        spw: how this parameter may be written.
        needed: parameters that have to be there.
    """

    since: _Release
    spw: str = ".*"
    needed: frozenset[str] = frozenset()

    def can_read(self, renorm: Mapping[str, str]) -> bool:
        return self.needed <= renorm.keys() and re.fullmatch(self.spw, renorm.get("spw", "")) is not None


_NEVER: _Release = (99, 0, 0)
_READERS = (
    # Source: `_do_renormalize` in pipeline/h/tasks/restoredata/restoredata.py. Tag 2020.1.0.40 of CASA 6.1 has none.
    _Reader((6, 2, 1)),  # tags 2021.2.0.128 and 2022.2.0.64, which write a list: [25, 27]
    _Reader((6, 5, 0), spw="", needed=frozenset({"atm_auto_exclude", "bwthreshspw"})),  # tag 2023.1.0.124
    _Reader((6, 6, 0), spw=r"|\d+,[\d, ]*"),  # tags 2024.1.0.8 to 2026.0.0.0; what is absent has defaults (PIPE-2049)
    _Reader(_NEVER),
)


def can_repeat(casa_version: str, manifest: Manifest) -> bool:
    """Whether the pipeline of a CASA can do so; what was not renormalised asks for nothing."""
    if not _renormalised(manifest):
        return True
    release = CasaVersion.parse(casa_version).release
    return any(since <= release < before for since, before in _spans(manifest))


def in_words(manifest: Manifest) -> str:
    """The versions that can: `6.2.1 or newer, before 6.5.0; 6.6.0 or newer`."""
    spans = [
        f"{CasaVersion(since)} or newer" + ("" if before == _NEVER else f", before {CasaVersion(before)}")
        for since, before in _spans(manifest)
    ]
    return "; ".join(spans) or "none as yet"


def _spans(manifest: Manifest) -> list[tuple[_Release, _Release]]:
    """From which release on, and before which one. None that is older than what calibrated: it knows less."""
    calibrated = CasaVersion.parse(manifest.casa_version).release if manifest.casa_version else _READERS[0].since
    spans: list[tuple[_Release, _Release]] = []
    for reader, following in pairwise(_READERS):
        since = max(reader.since, calibrated)
        if since < following.since and all(map(reader.can_read, _renormalised(manifest))):
            if spans and spans[-1][1] == since:
                since, _ = spans.pop()
            spans.append((since, following.since))
    return spans


def _renormalised(manifest: Manifest) -> list[Mapping[str, str]]:
    return [asdm.renorm for asdm in manifest.asdms if asdm.needs_renormalisation]
