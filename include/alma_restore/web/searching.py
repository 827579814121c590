"""A search of the page: its form, read; and the MOUSs of one page, from the archive or from the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool

from alma_restore.archive.search import Filter, Found, Place, Search, Wanted
from alma_restore.catalogue.states import ACTIVE, DELIVERED, State
from alma_restore.errors import Refused
from alma_restore.restore.house import House
from alma_restore.rules import eligibility
from alma_restore.uid import Uid
from alma_restore.web.answers import Answers
from alma_restore.web.mous import Mous, told

PAGE_SIZE = 25

PATIENCE_S = 0.1
"""When a page shows what was found so far, instead of looking on for rare things."""

FIELDS = ("uid", "project", "source", "sched_block", "since", "until", "state")

STATES: Mapping[str, str] = {
    "": "any",
    "restorable": "can be restored",
    "not_restorable": "cannot be restored",
    "active": "being restored",
    "delivered": "restored",
    "failed": "failed or refused",
    "expired": "expired or cancelled",
}

_REQUEST_STATES: Mapping[str, frozenset[State]] = {
    "active": ACTIVE,
    "delivered": DELIVERED,
    "failed": frozenset({"failed", "refused"}),
    "expired": frozenset({"expired", "cancelled"}),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as its form was filled in.

    Attributes:
        fields: what was written in each field.
        wanted: what the archive is asked for.
        state: one of STATES.
        after: behind which row the page begins, as the link to it says; empty: the first page.
        shown: how many rows stand on the pages before.
        mistakes: what is wrong with a field, by its name.
    """

    fields: Mapping[str, str]
    wanted: Wanted
    state: str
    after: str
    shown: int
    mistakes: Mapping[str, str]

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Asked:
        fields = {name: query.get(name, "").strip()[:200] for name in FIELDS}
        mistakes: dict[str, str] = {}
        wanted = Wanted(
            uid=_uid(fields, mistakes),
            project=fields["project"].upper(),
            source=fields["source"],
            sched_block=_spelled(fields["sched_block"]),
            since=_day(fields, "since", mistakes),
            until=_day(fields, "until", mistakes, days=1),
        )
        if fields["state"] not in STATES:
            mistakes["state"] = "There is no such state."
        shown = query.get("shown", "")
        return cls(
            fields,
            wanted,
            fields["state"],
            query.get("after", "")[:400],
            int(shown) if _is_count(shown) else 0,
            mistakes,
        )

    @property
    def is_narrowed(self) -> bool:
        return any(self.fields.values())

    def link(self, after: str, shown: int) -> str:
        """The query string of another page of this search."""
        kept = {name: text for name, text in self.fields.items() if text}
        return "?" + urlencode(kept | ({"after": after, "shown": str(shown)} if after else {}))


@dataclass(frozen=True, slots=True)
class Results:
    """The MOUSs of one page.

    Attributes:
        after: where the next page begins; empty: there is none.
        looked_at: how many MOUSs were looked at for it.
    """

    mouss: tuple[Mous, ...]
    after: str
    looked_at: int


async def find(house: House, answers: Answers, asked: Asked) -> Results:
    """One page of a search.

    Raises:
        Refused: (code `bad_request`) the link to the page is damaged.
        NotAvailable: the archive or the catalogue does not answer.
    """
    if asked.state in _REQUEST_STATES:
        return await _requested(house, answers, asked)
    place = _place(asked)
    return await answers.ask(("search", asked.wanted, asked.state, place), lambda: _searched(house, asked, place))


async def named(house: House, answers: Answers, uids: tuple[Uid, ...]) -> tuple[Mous, ...]:
    """These MOUSs, in this order; what the archive does not know is left out.

    Raises:
        NotAvailable: the archive does not answer, or not in time.
    """
    return await answers.ask(("named", uids), lambda: told(house, Search(house.archive.metadata).named(uids)))


def _searched(house: House, asked: Asked, place: Place | None) -> Results:
    page = Search(house.archive.metadata).page(asked.wanted, PAGE_SIZE, place, _FILTERS.get(asked.state), PATIENCE_S)
    after = f"{page.next.mous_uid.sanitised} {page.next.key}" if page.next else ""
    return Results(told(house, page.found), after, page.looked_at)


async def _requested(house: House, answers: Answers, asked: Asked) -> Results:
    """The catalogue knows who was requested; the newest request comes first, and counts for its MOUS."""
    if asked.wanted.uid:
        return await _requested_one(house, answers, asked)
    offset = int(asked.after) if _is_count(asked.after) else 0
    page = await run_in_threadpool(
        house.catalogue.find, states=_REQUEST_STATES[asked.state], limit=PAGE_SIZE, offset=offset
    )
    ids = {request.id for request in page.requests}
    uids = list(dict.fromkeys(request.mous_uid for request in page.requests if request.mous_uid))
    latest = await run_in_threadpool(house.catalogue.latest_of, uids)
    found = await named(house, answers, tuple(uid for uid in uids if latest[uid].id in ids))
    fitting = tuple(each for each in found if asked.wanted.fits(each.found))
    seen = offset + len(page.requests)
    return Results(fitting, str(seen) if seen < page.total else "", len(page.requests))


async def _requested_one(house: House, answers: Answers, asked: Asked) -> Results:
    """The MOUS of a uid, which the archive finds, if its newest request is in the state asked for."""
    found = await answers.ask(
        ("search", asked.wanted, "", None), lambda: _searched(house, replace(asked, state=""), None)
    )
    latest = await run_in_threadpool(house.catalogue.latest_of, [mous.uid for mous in found.mouss])
    wanted = _REQUEST_STATES[asked.state]
    fitting = tuple(each for each in found.mouss if each.uid in latest and latest[each.uid].state in wanted)
    return Results(fitting, "", found.looked_at)


def _restorable(found: Sequence[Found]) -> list[Found]:
    return [each for each in found if eligibility.judge(each.calibration).restorable]


def _not_restorable(found: Sequence[Found]) -> list[Found]:
    return [each for each in found if not eligibility.judge(each.calibration).restorable]


_FILTERS: Mapping[str, Filter] = {"restorable": _restorable, "not_restorable": _not_restorable}


def _place(asked: Asked) -> Place | None:
    """Where the page begins, as `_searched` wrote it into the link."""
    if not asked.after:
        return None
    uid, _, key = asked.after.partition(" ")
    place = Place(key, Uid(uid))
    by_name = asked.wanted.project or asked.wanted.source or asked.wanted.sched_block
    try:
        return place if by_name or datetime.fromisoformat(key) else None
    except ValueError as error:
        raise Refused("This link to a page of a search is damaged.", code="bad_request") from error


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _uid(fields: Mapping[str, str], mistakes: dict[str, str]) -> Uid | None:
    try:
        return Uid(fields["uid"]) if fields["uid"] else None
    except Refused:
        mistakes["uid"] = "No ALMA uid. Write it like uid://A001/X12d1/X23e."
        return None


def _spelled(name: str) -> str:
    """A SchedBlock's name as it is, its uid in its one spelling."""
    try:
        return str(Uid(name))
    except Refused:
        return name


def _day(fields: Mapping[str, str], name: str, mistakes: dict[str, str], days: int = 0) -> datetime | None:
    if not fields[name]:
        return None
    try:
        return datetime.strptime(fields[name], "%Y-%m-%d").replace(tzinfo=timezone.utc) + timedelta(days=days)
    except (ValueError, OverflowError):
        mistakes[name] = "No date. Write it like 2018-09-21."
        return None
