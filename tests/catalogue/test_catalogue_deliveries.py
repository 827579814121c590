"""Deliveries are remembered, warned of, and expire only when they may."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from alma_restore.errors import RestoreError
from alma_restore.request import RestoreRequest

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
FACTS = {"destination": "", "path": "/deliveries/one", "size_bytes": 5 * 10**12, "files": 7, "sha256": "ab"}


@pytest.fixture
def delivered(catalogue):
    def deliver(expires_at=NOW):
        request_id = catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X2")).id
        catalogue.start_stage(request_id, "deliver")
        catalogue.record_delivery(request_id, **FACTS, expires_at=expires_at)
        catalogue.finish(request_id)
        return request_id

    return deliver


def due(catalogue, now=NOW):
    return [delivery.request_id for delivery in catalogue.due_deliveries(now)]


def test_a_delivery_reads_back(catalogue, delivered):
    request_id = delivered()
    delivery = catalogue.delivery(request_id)
    assert {name: getattr(delivery, name) for name in FACTS} == FACTS
    assert (delivery.expires_at, delivery.keep, delivery.removed_at) == (NOW, False, None)
    assert catalogue.delivery("nowhere") is None


def test_a_delivery_expires_on_its_day_and_is_gone_when_removed(catalogue, delivered):
    request_id = delivered()
    assert due(catalogue, NOW - timedelta(seconds=1)) == []
    assert due(catalogue) == [request_id]
    assert catalogue.expire(request_id, NOW)
    assert catalogue.get(request_id).state == "expired"
    assert due(catalogue) == [request_id], "a removal cut short is taken up again"
    assert catalogue.expire(request_id, NOW)
    catalogue.mark_removed(request_id)
    assert due(catalogue) == []


def test_what_somebody_keeps_or_is_not_ours_does_not_expire(catalogue, delivered):
    kept, remote = delivered(), delivered(expires_at=None)
    catalogue.keep_delivery(kept)
    assert due(catalogue) == []
    assert not catalogue.expire(kept, NOW)
    assert not catalogue.expire(remote, NOW)
    assert catalogue.get(kept).state == "delivered"
    catalogue.keep_delivery(kept, False)
    assert due(catalogue) == [kept]


def test_what_is_being_delivered_again_does_not_expire(catalogue, delivered):
    request_id = delivered()
    catalogue.reopen(request_id)
    assert due(catalogue) == []
    assert not catalogue.expire(request_id, NOW)
    assert catalogue.get(request_id).state == "accepted"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_what_stands_of_a_request_that_failed_the_second_time_is_warned_of_and_expires(catalogue, delivered, end):
    request_id = delivered()
    catalogue.reopen(request_id)
    if end == "failed":
        catalogue.fail(request_id, RestoreError("CASA stopped."), "run_casa")
    else:
        catalogue.cancel(request_id)
    before = NOW + timedelta(days=3)
    assert [delivery.request_id for delivery in catalogue.expiring_deliveries(before)] == [request_id]
    assert due(catalogue) == [request_id]
    assert catalogue.expire(request_id, NOW)
    assert not catalogue.expire(request_id, NOW - timedelta(seconds=1))
    assert catalogue.get(request_id).state == end
    catalogue.mark_removed(request_id)
    assert due(catalogue) == []


def test_a_second_delivery_renews_the_date_and_keeps_the_wish(catalogue, delivered):
    request_id = delivered()
    catalogue.keep_delivery(request_id)
    catalogue.mark_warned(request_id)
    catalogue.record_delivery(request_id, **{**FACTS, "files": 8}, expires_at=NOW + timedelta(days=1))
    delivery = catalogue.delivery(request_id)
    assert (delivery.files, delivery.keep, delivery.warned_at) == (8, True, None)
    assert delivery.expires_at == NOW + timedelta(days=1)


def test_a_requester_is_warned_once(catalogue, delivered):
    request_id = delivered()
    assert catalogue.expiring_deliveries(NOW) == ()
    before = NOW + timedelta(days=3)
    assert [delivery.request_id for delivery in catalogue.expiring_deliveries(before)] == [request_id]
    catalogue.mark_warned(request_id)
    assert catalogue.expiring_deliveries(before) == ()
