"""Disk is promised once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import CasaFailed, NotAvailable
from alma_restore.request import RestoreRequest

GIB = 1024**3
SPOOL = Path("/spool")


@pytest.fixture
def requests(catalogue):
    return [catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X2")).id for _ in range(3)]


def free(gib):
    return lambda: gib * GIB


def test_promised_disk_is_not_promised_again(catalogue, requests):
    first, second, third = requests
    catalogue.reserve(first, SPOOL, 6 * GIB, free_bytes=free(10))
    with pytest.raises(NotAvailable) as error:
        catalogue.reserve(second, SPOOL, 5 * GIB, free_bytes=free(10))
    assert error.value.sentence == (
        "/spool has 10.0 GiB free, of which 6.0 GiB are promised to 1 other restores and 0.0 GiB kept spare; "
        "this restore needs 5.0 GiB."
    )
    catalogue.reserve(third, SPOOL, 4 * GIB, free_bytes=free(10))
    assert catalogue.reserved_bytes(SPOOL) == 10 * GIB


def test_what_a_restore_has_written_is_no_longer_counted_twice(catalogue, requests):
    catalogue.reserve(requests[0], SPOOL, 6 * GIB, free_bytes=free(10))
    catalogue.report_used(requests[0], 6 * GIB)
    catalogue.reserve(requests[1], SPOOL, 4 * GIB, free_bytes=free(4))
    catalogue.report_used(requests[1], 5 * GIB)
    assert catalogue.reserved_bytes(SPOOL) == 0, "who writes more than was promised owes nothing to others"


def test_asking_again_renews_the_promise(catalogue, requests):
    catalogue.reserve(requests[0], SPOOL, 8 * GIB, free_bytes=free(10))
    catalogue.report_used(requests[0], 3 * GIB)
    catalogue.reserve(requests[0], SPOOL, 9 * GIB, free_bytes=free(7))
    assert catalogue.reserved_bytes(SPOOL) == 6 * GIB
    with pytest.raises(NotAvailable):
        catalogue.reserve(requests[0], SPOOL, 11 * GIB, free_bytes=free(7))
    assert catalogue.reserved_bytes(SPOOL) == 6 * GIB


def test_spare_disk_is_never_promised(catalogue, requests):
    with pytest.raises(NotAvailable, match=r"2\.0 GiB kept spare"):
        catalogue.reserve(requests[0], SPOOL, 9 * GIB, free_bytes=free(10), spare_bytes=2 * GIB)
    catalogue.reserve(requests[0], SPOOL, 8 * GIB, free_bytes=free(10), spare_bytes=2 * GIB)


def test_released_disk_is_free_again(catalogue, requests):
    catalogue.reserve(requests[0], SPOOL, 10 * GIB, free_bytes=free(10))
    catalogue.release(requests[0])
    catalogue.release(requests[0])
    catalogue.reserve(requests[1], SPOOL, 10 * GIB, free_bytes=free(10))


def test_an_ended_request_holds_no_disk_even_if_nobody_released_it(catalogue, requests):
    catalogue.reserve(requests[0], SPOOL, 10 * GIB, free_bytes=free(10))
    catalogue.fail(requests[0], CasaFailed("died"), "casa")
    catalogue.reserve(requests[1], SPOOL, 10 * GIB, free_bytes=free(10))


def test_disks_are_accounted_one_by_one(catalogue, requests):
    catalogue.reserve(requests[0], SPOOL, 10 * GIB, free_bytes=free(10))
    catalogue.reserve(requests[1], Path("/other"), 10 * GIB, free_bytes=free(10))


def test_of_two_who_reserve_at_once_one_gets_the_disk(url, requests):
    measuring = threading.Barrier(2, timeout=0.5)

    def slow_measurement():
        try:
            measuring.wait()
        except threading.BrokenBarrierError:
            return 10 * GIB
        pytest.fail("two reserved side by side")

    def reserve(request_id):
        try:
            Catalogue(url).reserve(request_id, SPOOL, 6 * GIB, free_bytes=slow_measurement)
        except NotAvailable:
            return "refused"
        return "promised"

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(reserve, requests[:2])) == ["promised", "refused"]
    assert Catalogue(url).reserved_bytes(SPOOL) == 6 * GIB
