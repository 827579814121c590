"""Searching the archive: what fits, in which order, and page by page; the same from SQLite and over Oracle's driver."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from made_mous import DELIVERED, eb_uid, execution, mous, mous_uid, sched_block, spell, write
from oracle_like import oracle_like

from alma_restore.archive import embedded
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.search import SCAN_LIMIT, Search, Wanted
from alma_restore.uid import Uid

DAY = timedelta(days=1)

MOUSS = [
    mous(1, source_name="NGC 253", band_list="3 10 7", delivered_at=(DELIVERED, DELIVERED + 5 * DAY)),
    mous(2, source_name="NGC 4945", project_code="2018.1.00001.S", delivered_at=(DELIVERED + DAY,)),
    mous(3, source_name="Orion KL", delivered_at=(DELIVERED + DAY,)),
    mous(4, source_name="NGC 253", delivered_at=()),
    mous(
        5,
        source_name="Sgr A*",
        sched_blocks=(sched_block(5), sched_block(50)),
        executions=(execution(5, 5), execution(50, 50)),
    ),
]


@pytest.fixture(params=["embedded", "oracle"])
def search(request, tmp_path):
    def search(*records, spelling="declared"):
        path = spell(write(tmp_path / "metadata.sqlite", *(records or MOUSS)), spelling)
        connect = oracle_like(path) if request.param == "oracle" else lambda: closing(embedded.connect(path))
        return Search(Metadata(connect))

    return search


def numbers(page):
    return [int(found.mous_uid.rsplit("X", 1)[1], 16) for found in page.found]


def all_pages(search, wanted, size, **options):
    found, after = [], None
    while True:
        page = search.page(wanted, size, after, **options)
        assert len(page.found) <= size
        found += numbers(page)
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("spelling", ["declared", "all", "none", "every other"])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [1, 3, 2, 5]),
        (Wanted(since=DELIVERED + DAY), [1, 3, 2]),
        (Wanted(until=DELIVERED + DAY), [5]),
        (Wanted(since=DELIVERED, until=DELIVERED + 2 * DAY), [3, 2, 5]),
        (Wanted(source="NGC"), [1, 4, 2]),
        (Wanted(source="NGC 253"), [1, 4]),
        (Wanted(source="NGC 253", since=DELIVERED), [1]),
        (Wanted(source="ngc"), []),
        (Wanted(source="*"), []),
        (Wanted(source="N%"), []),
        (Wanted(project="2018.1.00001.S"), [2]),
        (Wanted(project="2017"), [1, 3, 4, 5]),
        (Wanted(project="2017", source="NGC"), [1, 4]),
        (Wanted(sched_block="sb 5"), [5]),
        (Wanted(sched_block="uid://A001/X2/X32"), [5]),
        (Wanted(uid=mous_uid(4)), [4]),
        (Wanted(uid=eb_uid(50)), [5]),
        (Wanted(uid=eb_uid(50), source="NGC"), []),
        (Wanted(uid=Uid("uid://A001/Xdead/X1")), []),
    ],
    ids=str,
)
def test_what_fits_is_found_in_order_whatever_the_size_of_the_page(search, spelling, wanted, expected):
    made = search(spelling=spelling)
    for size in (1, 2, 10):
        assert all_pages(made, wanted, size) == expected


def test_a_mous_is_told_with_everything_the_table_shows(search):
    made = search()
    (found,) = made.page(Wanted(uid=mous_uid(5)), 10).found
    assert found.projects == ("2017.1.00370.S",)
    assert found.sources == ("Sgr A*",)
    assert found.sched_blocks == ("sb 5", "sb 50")
    assert found.sched_block_uids == ("uid://A001/X2/X32", "uid://A001/X2/X5")
    assert [eb.uid for eb in found.calibration.execution_blocks] == [eb_uid(50), eb_uid(5)]
    (found,) = made.named([mous_uid(1)])
    assert found.bands == ("3", "7", "10")
    assert found.calibration.calibrated_at == DELIVERED + 5 * DAY


def test_a_mous_with_several_fitting_names_is_listed_once(search):
    twins = [
        mous(
            n,
            sched_blocks=(sched_block(n), sched_block(100 + n)),
            executions=(execution(n, n), execution(100 + n, 100 + n)),
        )
        for n in range(1, 8)
    ]
    made = search(*twins)
    for size in (1, 3, 50):
        assert sorted(all_pages(made, Wanted(sched_block="sb"), size)) == list(range(1, 8))


def test_deliveries_at_one_moment_are_not_lost_between_pages(search):
    made = search(*(mous(number) for number in range(1, 30)))
    assert sorted(all_pages(made, Wanted(), 4)) == list(range(1, 30))
    assert sorted(all_pages(made, Wanted(source="J"), 4)) == list(range(1, 30))


def test_a_filter_leaves_out_and_the_page_is_filled_all_the_same(search):
    made = search(*(mous(number, delivered_at=(DELIVERED + number * DAY,)) for number in range(1, 30)))

    def odd(found):
        return [each for each in found if int(each.mous_uid[-1], 16) % 2]

    first = made.page(Wanted(), 5, keep=odd)
    assert numbers(first) == [29, 27, 25, 23, 21]
    assert all_pages(made, Wanted(), 5, keep=odd) == list(range(29, 0, -2))


def test_a_page_stops_looking_and_says_where(search):
    def nothing(found):
        return []

    made = search(*(mous(number) for number in range(1, SCAN_LIMIT + 150)))
    page = made.page(Wanted(), 20, keep=nothing)
    assert page.found == ()
    assert SCAN_LIMIT <= page.looked_at < SCAN_LIMIT + 100
    assert page.next is not None
    assert made.page(Wanted(), 20, page.next, keep=nothing).next is None


def test_a_page_that_has_no_more_time_shows_what_it_has_and_nothing_is_lost(search):
    made = search(*(mous(number, delivered_at=(DELIVERED + number * DAY,)) for number in range(1, 180)))

    def few(found):
        return [each for each in found if int(each.mous_uid.rpartition("X")[2], 16) % 10 == 0]

    seen, place, pages = [], None, 0
    while pages == 0 or place:
        page = made.page(Wanted(), 20, place, keep=few, patience_s=0)
        seen += numbers(page)
        place, pages = page.next, pages + 1
        assert page.looked_at <= 50
    assert seen == list(range(170, 0, -10))
    assert pages > 3
