"""Searching the archive for MOUSs, a page at a time: the cost grows with the page, not with the archive."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from alma_restore.archive.metadata import Metadata, by_uid, calibrations
from alma_restore.archive.queries import Queries, batches, text, utc
from alma_restore.archive.records import Calibration
from alma_restore.errors import Refused
from alma_restore.uid import Uid

SCAN_LIMIT = 500
"""MOUSs looked at for one page; where few of them fit, the page tells how far it came."""

_FILTERED_AT_ONCE = 50
"""MOUSs looked at in one go where a filter leaves some out."""

_FIRST_DAY = datetime(2000, 1, 1, tzinfo=timezone.utc)
_LAST_DAY = datetime(9000, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for; empty fields fit everything. Texts are the beginnings of names, spelled as in the archive.

    Attributes:
        uid: an MOUS or an execution block.
        project: a project code; source: a source's name.
        sched_block: a SchedBlock's name, or its uid.
        since, until: since <= delivered < until.
    """

    uid: Uid | None = None
    project: str = ""
    source: str = ""
    sched_block: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, found: Found) -> bool:
        at = found.calibration.calibrated_at
        return (
            _one_begins(found.projects, self.project)
            and _one_begins(found.sources, self.source)
            and _one_begins((*found.sched_blocks, *found.sched_block_uids), self.sched_block)
            and (self.since is None or (at is not None and at >= self.since))
            and (self.until is None or (at is not None and at < self.until))
        )


@dataclass(frozen=True, slots=True)
class Found:
    """One MOUS as a search shows it; names are in alphabetical order."""

    calibration: Calibration
    projects: tuple[str, ...]
    sources: tuple[str, ...]
    bands: tuple[str, ...]
    sched_blocks: tuple[str, ...]
    sched_block_uids: tuple[Uid, ...]

    @property
    def mous_uid(self) -> Uid:
        return self.calibration.mous_uid


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a search: what it is ordered by (a name, or a time as ISO text), and the MOUS."""

    key: str
    mous_uid: Uid


@dataclass(frozen=True, slots=True)
class FoundPage:
    """One page of a search.

    Attributes:
        next: where the next page begins; None: there is none.
        looked_at: how many MOUSs were looked at; more than were found where a filter left some out.
    """

    found: tuple[Found, ...]
    next: Place | None
    looked_at: int


Filter = Callable[[Sequence[Found]], Sequence[Found]]


class Search:
    """Searches one archive's metadata.

    Every method raises NotAvailable when the database does not answer and Misconfigured when it denies us a table.
    """

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def page(
        self,
        wanted: Wanted,
        size: int,
        after: Place | None = None,
        keep: Filter | None = None,
        patience_s: float = math.inf,
    ) -> FoundPage:
        """The MOUSs that fit: by name where a name is wanted, else the latest delivery first.

        Args:
            after: `next` of the page before.
            keep: leaves out of some MOUSs what is not wanted for other reasons.
            patience_s: when to stop looking for more; the page then holds what was found, and the next one goes on.
        """
        started = time.monotonic()
        if wanted.uid or _as_uid(wanted.sched_block):
            found = [each for each in self.named(self._mous_uids(wanted)) if wanted.fits(each)]
            return FoundPage(tuple(keep(found) if keep else found), None, len(found))
        with self._metadata.queries() as queries:
            kept: list[tuple[Place, Found]] = []
            last, looked_at = after, 0
            at_once = size + 1 if keep is None else max(size + 1, _FILTERED_AT_ONCE)
            for places in batches(_places(queries, wanted, after), at_once):
                last, looked_at = places[-1], looked_at + len(places)
                kept += _kept(queries, wanted, places, keep)
                if len(kept) > size:
                    return FoundPage(tuple(found for _, found in kept[:size]), kept[size - 1][0], looked_at)
                if looked_at >= SCAN_LIMIT or time.monotonic() - started > patience_s:
                    return FoundPage(tuple(found for _, found in kept), last, looked_at)
        return FoundPage(tuple(found for _, found in kept), None, looked_at)

    def named(self, mous_uids: Sequence[Uid]) -> list[Found]:
        """These MOUSs, in this order; what the archive does not know is left out."""
        with self._metadata.queries() as queries:
            return [found for some in batches(mous_uids, 100) for found in _details(queries, some)]

    def _mous_uids(self, wanted: Wanted) -> list[Uid]:
        """The MOUSs that the uids of a search name."""
        sched_block = _as_uid(wanted.sched_block)
        if wanted.uid is None and sched_block:
            with self._metadata.queries() as queries:
                rows = queries.rows_of("mous_of_sched_blocks", [sched_block])
                return sorted({uid for uid, _ in by_uid((mous_uid, _) for _, mous_uid in rows)})
        if wanted.uid is None or self.named([wanted.uid]):
            return [wanted.uid] if wanted.uid else []
        try:
            return [self._metadata.mous_of_execution_block(wanted.uid)]
        except Refused:
            return []


def _ordering(wanted: Wanted) -> tuple[str, str, Callable[[Found], tuple[str, ...]]] | None:
    """The query that finds a wanted name, the name's beginning, and where an MOUS has it; None: no name is wanted.

    The longest beginning is taken to be the rarest.
    """
    orderings: list[tuple[str, str, Callable[[Found], tuple[str, ...]]]] = [
        ("search_by_project", wanted.project, lambda found: found.projects),
        ("search_by_sched_block", wanted.sched_block, lambda found: found.sched_blocks),
        ("search_by_source", wanted.source, lambda found: found.sources),
    ]
    longest = max(orderings, key=lambda ordering: len(ordering[1]))
    return longest if longest[1] else None


def _places(queries: Queries, wanted: Wanted, after: Place | None) -> Iterator[Place]:
    """The rows of a search, in its order, each MOUS once for each key."""
    if ordering := _ordering(wanted):
        yield from _by_name(queries, ordering[0], ordering[1], after)
        return
    last = utc(after.key) if after else (wanted.until or _LAST_DAY)
    rows = queries.rows(
        "search_by_delivery",
        since=wanted.since or _FIRST_DAY,
        last=last,
        last_uid=str(after.mous_uid) if after else "",
    )
    for mous_uid, delivered in by_uid(rows):
        if at := utc(delivered):
            yield Place(at.isoformat(), mous_uid)


def _by_name(queries: Queries, query: str, beginning: str, after: Place | None) -> Iterator[Place]:
    past = beginning[:-1] + chr(ord(beginning[-1]) + 1)
    last = after
    for mous_uid, name in by_uid(
        queries.rows(
            query,
            last=after.key if after else beginning,
            past=past,
            last_uid=str(after.mous_uid) if after else " ",  # a blank sorts before every uid
        )
    ):
        place = Place(text(name), mous_uid)
        # The same row again, from a column padded with blanks; or another row of the same MOUS and name.
        if last is None or (last.key, last.mous_uid) < (place.key, place.mous_uid):
            yield place
            last = place


def _kept(queries: Queries, wanted: Wanted, places: Sequence[Place], keep: Filter | None) -> list[tuple[Place, Found]]:
    """The rows that fit, with what the archive knows of them; an MOUS stands only at the first of its keys."""
    found = {each.mous_uid: each for each in _details(queries, [place.mous_uid for place in places])}
    firsts = {
        place: found[place.mous_uid]
        for place in places
        if place.mous_uid in found and _is_first(wanted, found[place.mous_uid], place)
    }
    fitting = [each for each in firsts.values() if wanted.fits(each)]
    chosen = {each.mous_uid for each in (keep(fitting) if keep else fitting)}
    return [(place, each) for place, each in firsts.items() if place.mous_uid in chosen]


def _is_first(wanted: Wanted, found: Found, place: Place) -> bool:
    if ordering := _ordering(wanted):
        _, beginning, names = ordering
        return place.key == next((name for name in names(found) if name.startswith(beginning)), "")
    return found.calibration.calibrated_at == utc(place.key)


def _details(queries: Queries, mous_uids: Sequence[Uid]) -> list[Found]:
    """What the table of MOUSs shows of these, in this order."""
    projects, sources, bands, names, sched_blocks = (defaultdict[Uid, set[str]](set) for _ in range(5))
    for mous_uid, *columns in by_uid(queries.rows_of("search_observations", mous_uids)):
        project, source, band_list = map(text, columns)
        projects[mous_uid].add(project)
        sources[mous_uid].add(source)
        bands[mous_uid].update(band_list.split())
    for mous_uid, sched_block, _, name, _ in by_uid(queries.rows_of("sched_blocks", mous_uids)):
        sched_blocks[mous_uid].add(text(sched_block))
        names[mous_uid].add(text(name))
    return [
        Found(
            calibration=calibration,
            projects=_in_order(projects[calibration.mous_uid]),
            sources=_in_order(sources[calibration.mous_uid]),
            bands=tuple(sorted(bands[calibration.mous_uid], key=lambda band: (len(band), band))),
            sched_blocks=_in_order(names[calibration.mous_uid]),
            sched_block_uids=tuple(map(Uid, _in_order(sched_blocks[calibration.mous_uid]))),
        )
        for calibration in calibrations(queries, mous_uids)
    ]


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - {""}))


def _one_begins(names: Iterable[str], beginning: str) -> bool:
    return not beginning or any(name.startswith(beginning) for name in names)


def _as_uid(value: str) -> Uid | None:
    try:
        return Uid(value)
    except Refused:
        return None
