"""Calibrations: each delivery is news once, and asks for one restore."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone

import pytest

from alma_restore.archive.records import Calibration, ProductFile
from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import Refused
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid


@dataclass(frozen=True)
class Decided:
    restorable: bool = True
    code: str = "restorable"
    sentence: str = "It can be restored."


MANUAL = Decided(False, "manual_calibration", "It was calibrated by hand.")


def calibration(number: int = 1, size_bytes: int = 10) -> Calibration:
    uid = Uid(f"uid://A001/X1/X{number:x}")
    files = (ProductFile(f"{uid.sanitised}.fits", "science", size_bytes),)
    return Calibration(uid, datetime(2026, 11, 1, 12, tzinfo=timezone.utc), files, ())


def pending(catalogue):
    return [(waiting.mous_uid, waiting.fingerprint) for waiting in catalogue.pending_calibrations()]


def test_a_calibration_is_news_once_whoever_sees_it(catalogue):
    seen = calibration()
    (news,) = catalogue.record_calibrations([(seen, Decided())], "detection")
    assert catalogue.record_calibrations([(seen, Decided())], "sweep") == ()
    assert (news.mous_uid, news.fingerprint, news.calibrated_at) == (
        seen.mous_uid,
        seen.fingerprint,
        seen.calibrated_at,
    )
    assert (news.decision, news.code, news.reason) == ("restore", "restorable", "It can be restored.")
    assert catalogue.calibrations_of([seen.mous_uid]) == {seen.mous_uid: news}
    assert news.seen_by == "detection"


def test_one_that_comes_twice_in_one_window_is_news_once(catalogue):
    assert len(catalogue.record_calibrations([(calibration(), Decided())] * 2, "detection")) == 1


def test_refusals_are_kept_with_their_reason_and_wait_for_nothing(catalogue):
    catalogue.record_calibrations([(calibration(1), MANUAL), (calibration(2), Decided())], "detection")
    assert pending(catalogue) == [(calibration(2).mous_uid, calibration(2).fingerprint)]
    assert catalogue.calibrations_of([calibration(1).mous_uid])[calibration(1).mous_uid].reason == MANUAL.sentence
    assert catalogue.calibration_counts() == {"manual_calibration": 1, "restorable": 1}


def test_a_calibration_judged_otherwise_than_before_is_news_again(catalogue):
    catalogue.record_calibrations([(calibration(), MANUAL)], "detection")
    (news,) = catalogue.record_calibrations([(calibration(), Decided())], "sweep")
    assert news.decision == "restore"
    assert len(pending(catalogue)) == 1


def test_a_calibration_waits_until_it_is_requested(catalogue):
    seen = calibration()
    catalogue.record_calibrations([(seen, Decided())], "detection")
    asked = catalogue.open_request(RestoreRequest(mous_uid=seen.mous_uid))
    assert len(pending(catalogue)) == 1, "asked for without a fingerprint, it may be another delivery"
    catalogue.identify(asked.id, seen.mous_uid, seen.fingerprint)
    assert pending(catalogue) == []


@pytest.mark.parametrize(("origin", "waits"), [("page", True), ("command", True), ("detection", False)])
def test_a_person_s_request_that_came_to_nothing_takes_no_calibration_from_detection(catalogue, origin, waits):
    seen = calibration()
    catalogue.record_calibrations([(seen, Decided())], "detection")
    asked = catalogue.open_request(RestoreRequest(mous_uid=seen.mous_uid, destination="/etc", origin=origin))
    catalogue.identify(asked.id, seen.mous_uid, seen.fingerprint)
    catalogue.fail(asked.id, Refused("The destination /etc is not allowed.", code="destination_not_allowed"), "")
    assert bool(pending(catalogue)) == waits


def test_a_redelivery_is_a_new_calibration_and_replaces_the_one_that_waited(catalogue):
    catalogue.record_calibrations([(calibration(size_bytes=10), Decided())], "detection")
    catalogue.record_calibrations([(calibration(size_bytes=11), Decided())], "detection")
    assert pending(catalogue) == [(calibration().mous_uid, calibration(size_bytes=11).fingerprint)]
    catalogue.record_calibrations([(calibration(size_bytes=12), MANUAL)], "detection")
    assert pending(catalogue) == [], "its latest delivery cannot be restored"


def test_the_oldest_wait_first_and_one_can_ask_for_some_mouss_alone(catalogue):
    catalogue.record_calibrations(((calibration(n), Decided()) for n in (3, 1, 2)), "backfill")
    third, first, second = uids = [calibration(n).mous_uid for n in (3, 1, 2)]
    assert [waiting.mous_uid for waiting in catalogue.pending_calibrations()] == uids
    assert [waiting.mous_uid for waiting in catalogue.pending_calibrations({second, third})] == [third, second]
    others = [calibration(n).mous_uid for n in range(10, 1300)]
    assert [waiting.mous_uid for waiting in catalogue.pending_calibrations([*others, first])] == [first]
    assert catalogue.pending_calibrations([]) == ()


def test_two_detectors_side_by_side_share_the_news(url):
    judged = [(calibration(number), Decided()) for number in range(1, 1201)]
    together = threading.Barrier(2)

    def detect(_):
        together.wait()
        return Catalogue(url).record_calibrations(iter(judged), "detection")

    with ThreadPoolExecutor(2) as threads:
        news = [record.mous_uid for found in threads.map(detect, range(2)) for record in found]
    assert sorted(news) == sorted(seen.mous_uid for seen, _ in judged)


def test_a_walk_resumes_where_it_stopped(catalogue):
    assert catalogue.cursor("sweep") == ""
    catalogue.set_cursor("sweep", "uid://A001/X1/X7")
    catalogue.set_cursor("sweep", "uid://A001/X1/X9")
    catalogue.set_cursor("other", "x")
    assert catalogue.cursor("sweep") == "uid://A001/X1/X9"
