"""detect_calibrations: what is restorable is started once, what is not is remembered with its reason."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from alma_restore import settings
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.orchestration import detection_tasks

RESTORABLE = {mous.uid for mous in DEMO_MOUSS if mous.restorable}


@pytest.fixture
def started(monkeypatch):
    """The runs of restore_mous that Airflow would have: a second one of the same id is refused, as Airflow does."""
    runs: dict[str, dict] = {}

    def trigger(run_id, conf):
        return runs.setdefault(run_id, conf) is conf

    monkeypatch.setattr(detection_tasks, "trigger_restore", trigger)
    return runs


@pytest.fixture(autouse=True)
def _every_minute(monkeypatch, home):
    monkeypatch.setenv("ALMA_RESTORE_DETECTION__SCHEDULE", "* * * * *")
    settings.settings.cache_clear()


def detect(dag_of, minutes=1, at=None):
    """Run the detection of the interval that ends so many minutes from now, or at a time."""
    return dag_of("detect_calibrations").test(
        logical_date=at or datetime.now(timezone.utc) + timedelta(minutes=minutes)
    )


def test_detection_starts_what_is_restorable_and_remembers_why_the_rest_is_not(dag_of, home, catalogue, started):
    assert detect(dag_of).state == "success"
    assert {conf["mous_uid"] for conf in started.values()} == RESTORABLE
    decided = {each.mous_uid: (each.decision == "restore", each.code) for each in catalogue.calibrations()}
    assert decided == {mous.uid: (mous.restorable, mous.refusal_code) for mous in DEMO_MOUSS}


def test_detecting_again_starts_nothing_again(dag_of, home, catalogue, started):
    detect(dag_of)
    first = dict(started)
    assert first
    detect(dag_of, minutes=2)
    assert started == first


def test_a_run_lost_before_it_began_is_started_under_the_same_name(dag_of, home, catalogue, started):
    detect(dag_of)
    lost = dict(started)
    assert lost
    started.clear()
    detect(dag_of, minutes=2)
    assert set(started) == set(lost)


def test_a_window_without_calibrations_ends_as_skipped(dag_of, home, catalogue, started, monkeypatch):
    run = detect(dag_of, at=datetime(2019, 1, 1, tzinfo=timezone.utc))
    assert started == {}
    assert {instance.state for instance in run.get_task_instances()} == {"skipped"}


def test_an_archive_that_does_not_answer_fails_the_detection_and_decides_nothing(
    dag_of, home, archive, catalogue, started
):
    (archive / "metadata.sqlite").unlink()
    assert detect(dag_of).state == "failed"
    assert catalogue.calibrations() == ()
    assert started == {}
