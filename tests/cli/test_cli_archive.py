"""`alma-restore find-mous` and `backfill`, and the same from a notebook."""

from __future__ import annotations

import functools
import json
from datetime import datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

import alma_restore
from alma_restore.catalogue.store import Catalogue
from alma_restore.cli.exits import Exit
from alma_restore.cli.main import app
from alma_restore.client import backfill, connections
from alma_restore.client.backfill import RawSizes
from alma_restore.errors import NotAvailable, Refused
from alma_restore.request import RestoreRequest
from alma_restore.uid import Uid

MONTH = ("--from", "2024-01-01", "--to", "2024-02-01")


@pytest.fixture
def run(at_the_archive):
    def run(*arguments: str, exit_code: int = Exit.OK):
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == exit_code, result.output
        return result

    return run


def delivered(catalogue: Catalogue, number: int, seconds: float, monkeypatch) -> None:
    """A restore of an MOUS that took so long."""
    request = RestoreRequest(mous_uid=f"uid://A001/X1/X{number}", fingerprint="0" * 64)
    record = catalogue.open_request(request, f"run {number}")
    moments = iter([datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=s) for s in (0, seconds)])
    monkeypatch.setattr("alma_restore.catalogue.requests.utc_now", lambda: next(moments))
    catalogue.start_stage(record.id, "run_casa")
    catalogue.finish(record.id)
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("uid://A001/X1/X1",), ["uid://A001/X1/X1"]),
        (("uid://A002/X1/X2",), ["uid://A001/X1/X2"]),
        (("2018.1.00001.s",), ["uid://A001/X1/X2"]),
        (("2017.1",), ["uid://A001/X1/X1", "uid://A001/X1/X3", "uid://A001/X1/X4"]),
        (("--source", "NGC"), ["uid://A001/X1/X1"]),
    ],
)
def test_mouss_are_found_by_uid_execution_block_project_and_source(run, arguments, found):
    told = json.loads(run("find-mous", *arguments, "--json").stdout)
    assert [mous["mous_uid"] for mous in told] == found


def test_it_is_told_whether_they_can_be_restored_and_what_became_of_it(run, catalogue):
    catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X1"))
    printed = run("find-mous", "2017.1.00370.S").stdout
    first, manual, third = [line.rstrip() for line in printed.splitlines() if line.startswith("uid://")]
    assert first.endswith("accepted")
    assert "1/2" in first
    assert "It was calibrated by hand" in manual
    assert third.endswith("yes")
    assert "There are more than 1" in run("find-mous", "2017.1", "--limit", "1").stdout


def test_what_the_archive_does_not_know_is_refused(run):
    assert "knows no MOUS" in run("find-mous", "uid://A001/X9/X9", exit_code=Exit.FAILED).stderr
    assert "Give a uid" in run("find-mous", exit_code=Exit.USAGE).stderr


def test_without_a_connection_it_is_said_which_variable_to_set(run, at_the_archive):
    at_the_archive.delenv("AIRFLOW_CONN_ALMA_METADATA")
    result = run("find-mous", "2017.1", exit_code=Exit.MISCONFIGURED)
    assert "AIRFLOW_CONN_ALMA_METADATA is not set" in result.stderr


def test_a_dry_run_tells_how_many_how_much_and_that_nothing_was_measured(airflow, run):
    printed = run("backfill", *MONTH, "--dry-run").stdout
    assert "Would be restored: 2, from 3 GB of raw data." in printed
    assert "refused: manual_calibration" in printed
    assert "cannot be told: no earlier restore" in printed
    assert not airflow.backfills


def test_a_dry_run_tells_how_long_at_the_measured_rate(run, catalogue, at_the_archive):
    with pytest.MonkeyPatch.context() as patch:
        delivered(catalogue, 4, 800.0, patch)  # 4 GB in 800 s
    told = json.loads(run("backfill", *MONTH, "--dry-run", "--json").stdout)
    assert (told["to_restore"], told["raw_gb"], told["seconds_per_gb"], told["seconds"]) == (2, 3.0, 200.0, 600.0)
    assert told["measured_on"] == 1
    assert "about 10.0 minutes (200 s a GB, measured on 1 earlier" in run("backfill", *MONTH, "--dry-run").stdout


def test_what_was_asked_for_already_is_not_counted_again(run, catalogue):
    record = catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X1"))
    calibration = connections.metadata().calibration(Uid("uid://A001/X1/X1"))
    catalogue.identify(record.id, calibration.mous_uid, calibration.fingerprint)
    told = json.loads(run("backfill", *MONTH, "--dry-run", "--json").stdout)
    assert {row["outcome"]: row["mous"] for row in told["outcomes"]} == {
        "restore": 1,
        "asked for already": 1,
        "refused: manual_calibration": 1,
    }


def test_a_month_without_any_says_none(run):
    assert "None." in run("backfill", "--from", "2020-01-01", "--to", "2020-02-01", "--dry-run").stdout


def test_sizes_that_are_only_planned_for_are_told_as_such(run, at_the_archive, archive, tmp_path):
    (tmp_path / "metadata.sqlite").symlink_to(archive / "metadata.sqlite")
    sizes = RawSizes(None, 30_000_000_000)
    start, end = datetime(2024, 1, 1, tzinfo=timezone.utc), datetime(2024, 2, 1, tzinfo=timezone.utc)
    planned = backfill.plan(connections.metadata(), None, sizes, start, end)
    assert (planned.raw_gb, planned.sizes_known, planned.takes) == (60.0, False, None)


def test_a_backfill_is_created_in_airflow(airflow, run):
    assert "Backfill 1 is started" in run("backfill", *MONTH, "--newest-first").stdout
    assert airflow.backfills == [
        {
            "dag_id": "detect_calibrations",
            "from_date": "2024-01-01T00:00:00+00:00",
            "to_date": "2024-01-31T23:59:59+00:00",
            "run_backwards": True,
            "max_active_runs": 1,
            "reprocess_behavior": "none",
        }
    ]
    assert "already a running backfill" in run("backfill", *MONTH, exit_code=Exit.FAILED).stderr


def test_the_days_have_to_be_in_order(run):
    assert (
        "has to lie before"
        in run("backfill", "--from", "2024-02-01", "--to", "2024-01-01", exit_code=Exit.USAGE).stderr
    )


def test_a_notebook_has_the_same_verbs(airflow, catalogue, at_the_archive):
    from alma_restore.client import verbs

    verbs._opened.cache_clear()
    split = alma_restore.SplitOptions(intent="TARGET", chanbin=2)
    asked = alma_restore.request_restore(
        "uid://A001/X1/X1", email="ada@example.org", split=split, tar=True, correlation_id="k"
    )
    conf = airflow.runs["restore__k"]["conf"]
    assert (conf["split"]["chanbin"], conf["tar"]) == (2, True)
    assert asked.state == "accepted"
    record = catalogue.open_request(RestoreRequest.parse(airflow.runs["restore__k"]["conf"]), "restore__k")
    assert alma_restore.status(asked).request_id == record.id
    assert [told.number for told in alma_restore.list_restores(uid="uid://A001/X1/X1")] == [record.number]
    assert alma_restore.cancel(asked).state == "cancelled"
    assert alma_restore.wait_for("k").state == "cancelled"
    assert alma_restore.retry("k").state == "accepted"
    assert [mous.state for mous in alma_restore.find_mous("uid://A001/X1/X1")] == ["accepted"]
    plan = alma_restore.plan_backfill(datetime(2024, 1, 1), datetime(2024, 2, 1))
    assert list(plan.table.columns) == ["mous", "execution_blocks", "raw_gb"]
    verbs._opened.cache_clear()


def test_a_notebook_does_what_the_error_says_and_goes_on(airflow, catalogue, surroundings):
    airflow.password = "secret"
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_URL", "http://127.0.0.1:1")
    asked = functools.partial(alma_restore.request_restore, "uid://A001/X1/X1", correlation_id="k")
    with pytest.raises(NotAvailable, match="ALMA_RESTORE_AIRFLOW_URL"):
        asked()
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_URL", airflow.url)
    with pytest.raises(Refused, match="ALMA_RESTORE_AIRFLOW_USER and ALMA_RESTORE_AIRFLOW_PASSWORD"):
        asked()
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_USER", "ada")
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_PASSWORD", "secret")
    assert [asked().state, asked().state] == ["accepted", "accepted"]
    assert airflow.calls.count("POST /auth/token") == 1
    surroundings.setenv("ALMA_RESTORE_CATALOGUE_URL", "sqlite:////nowhere/catalogue.db")
    assert [told.told_by for told in alma_restore.list_restores()] == ["airflow"]
    surroundings.delenv("ALMA_RESTORE_CATALOGUE_URL")
    assert alma_restore.list_restores() == []  # the catalogue tells, where no task has stored anything


def test_every_verb_of_the_package_is_there():
    assert set(alma_restore.__all__) == set(dir(alma_restore))
    assert all(getattr(alma_restore, name) for name in alma_restore.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        alma_restore.nonsense  # noqa: B018
