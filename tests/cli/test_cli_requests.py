"""`alma-restore request`, `status`, `list`, `cancel`, `retry`: what is printed, and how they end."""

from __future__ import annotations

import json
import threading
import time

import pytest
from typer.testing import CliRunner

from alma_restore.catalogue.store import Catalogue
from alma_restore.cli.exits import Exit
from alma_restore.cli.main import app
from alma_restore.errors import CasaFailed
from alma_restore.request import RestoreRequest
from alma_restore.split import SplitOptions

MOUS = "uid://A001/X12d1/X23e"


@pytest.fixture
def run(surroundings):
    def run(*arguments: str, exit_code: int = Exit.OK):
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == exit_code, result.output
        return result

    return run


@pytest.fixture
def opened(airflow, catalogue: Catalogue):
    """A restore that is stored and has its run."""
    asked = RestoreRequest(mous_uid=MOUS, correlation_id="key", email="ada@example.org")
    airflow.trigger(body={"dag_run_id": asked.run_id, "logical_date": None, "conf": asked.as_conf()})
    return catalogue.open_request(asked, asked.run_id)


def test_a_request_is_sent_and_told_how_to_follow(airflow, run):
    printed = run("request", MOUS, "--email", "ada@example.org", "--casa", "6.6.1-17", "--correlation-id", "k").stdout
    assert printed == f"The restore of {MOUS} is asked for.\nFollow it: alma-restore status k --wait\n"
    conf = airflow.runs["restore__k"]["conf"]
    assert (conf["mous_uid"], conf["email"], conf["casa_version"]) == (MOUS, "ada@example.org", "6.6.1-17")
    assert conf["origin"] == "command"


def test_a_part_of_the_data_can_be_asked_for(airflow, run):
    split = ("--split-spw", "17,19", "--chanbin", "4", "--timebin", "30s", "--keep-full")
    run("request", MOUS, *split, "--tar", "--correlation-id", "k")
    conf = airflow.runs["restore__k"]["conf"]
    assert conf["tar"] is True
    assert RestoreRequest.parse(conf).split == SplitOptions(spw="17,19", chanbin=4, timebin="30s", keep_full=True)
    run("request", MOUS, "--correlation-id", "whole")
    assert not {"split", "tar"} & set(airflow.runs["restore__whole"]["conf"])
    assert "split.timebin" in run("request", MOUS, "--timebin", "soon", exit_code=Exit.FAILED).stderr


def test_an_execution_block_can_be_named_instead(airflow, run):
    run("request", "--eb", "uid://A002/Xd248b5/Xa7a", "--correlation-id", "k")
    assert airflow.runs["restore__k"]["conf"]["eb_uid"] == "uid://A002/Xd248b5/Xa7a"


def test_asking_twice_under_one_key_joins(airflow, run):
    run("request", MOUS, "--correlation-id", "k")
    assert "asked for before; it is accepted" in run("request", MOUS, "--correlation-id", "k").stdout
    assert json.loads(run("request", MOUS, "--correlation-id", "k", "--json").stdout)["is_new"] is False
    assert len(airflow.runs) == 1


def test_a_wrong_uid_is_refused_with_the_way_to_write_it(airflow, run):
    result = run("request", "X12d1", exit_code=Exit.FAILED)
    assert "Write it like uid://A001/X12d1/X23e" in result.stderr
    assert result.stdout == ""
    told = json.loads(run("request", "X12d1", "--json", exit_code=Exit.FAILED).stdout)
    assert told["error"]["code"] == "bad_request"
    assert not airflow.runs


def test_an_airflow_that_does_not_answer_is_exit_code_3(airflow, run):
    airflow.down = True
    assert "answers 503" in run("request", MOUS, exit_code=Exit.NOT_AVAILABLE).stderr
    told = json.loads(run("status", MOUS, "--json", exit_code=Exit.NOT_AVAILABLE).stdout)
    assert told["error"]["code"] == "not_available"


def test_an_address_of_airflows_pages_is_exit_code_4(airflow, run, surroundings):
    surroundings.setenv("ALMA_RESTORE_AIRFLOW_URL", f"{airflow.url}/home")
    airflow.page = 200, "<!doctype html>"
    for command in (("request", MOUS), ("status", MOUS), ("list",), ("cancel", "key"), ("retry", "key")):
        assert "ALMA_RESTORE_AIRFLOW_URL" in run(*command, exit_code=Exit.MISCONFIGURED).stderr
    told = json.loads(run("list", "--json", exit_code=Exit.MISCONFIGURED).stdout)
    assert told["error"]["code"] == "misconfigured"


def test_settings_that_cannot_be_used_are_exit_code_4(run, surroundings):
    surroundings.setenv("ALMA_RESTORE_CASA__CORES", "many")
    assert "casa.cores" in run("status", MOUS, exit_code=Exit.MISCONFIGURED).stderr


@pytest.mark.parametrize(
    "arguments", [("status",), ("nonsense",), ("list", "--state", "nix"), ("request", MOUS, "--x")]
)
def test_a_command_line_that_cannot_be_understood_is_exit_code_2(run, arguments):
    assert "Usage:" in run(*arguments, exit_code=Exit.USAGE).stderr


def test_the_status_of_a_delivered_restore(run, catalogue, opened):
    catalogue.start_stage(opened.id, "deliver")
    catalogue.record_delivery(
        opened.id, destination="", path="/deliveries/x", size_bytes=7_500_000, files=1, sha256="", expires_at=None
    )
    catalogue.finish(opened.id, ["CASA [6.6.1] differs."])
    printed = run("status", str(opened.number)).stdout
    for fact in (
        str(opened.number),
        MOUS,
        "delivered with warnings",
        "/deliveries/x",
        "7.5 MB",
        "CASA [6.6.1] differs.",
    ):
        assert fact in printed
    told = json.loads(run("status", "key", "--json").stdout)
    assert (told["state"], told["delivered_to"], told["number"]) == (
        "delivered_with_warnings",
        "/deliveries/x",
        opened.number,
    )


def test_the_status_of_a_failed_restore_is_a_failure_with_reason_and_log(run, catalogue, opened):
    catalogue.start_stage(opened.id, "run_casa")
    catalogue.fail(opened.id, CasaFailed("CASA crashed.", remedy="Retry.", log_tail="SEVERE [x] oh"), "run_casa")
    printed = run("status", MOUS, exit_code=Exit.FAILED).stdout
    for fact in ("failed", "run_casa", "CASA crashed.", "Retry.", "SEVERE [x] oh"):
        assert fact in printed


def test_what_nobody_asked_for_is_refused(run):
    assert "There is no restore 'nix'." in run("status", "nix", exit_code=Exit.FAILED).stderr


WORDS = ["ALMA [/NAASC]", "job[a]", "[bold]night[/]", "run:fire:", "a\\[b]", "[link=x"]


@pytest.mark.parametrize("words", WORDS)
def test_words_from_outside_are_printed_as_they_are(run, catalogue, words):
    asked = RestoreRequest(mous_uid=MOUS, correlation_id="key", requested_by=words)
    record = catalogue.open_request(asked, asked.run_id)
    assert words in run("list").stdout
    catalogue.set_workspace(record.id, f"/spool/{words}")
    catalogue.fail(record.id, CasaFailed(f"It told {words}.", remedy=words, log_tail=words), "run_casa")
    for wait in ((), ("--wait",)):
        assert run("status", "key", *wait, exit_code=Exit.FAILED).stdout.count(words) == 4


@pytest.mark.parametrize("words", WORDS)
def test_words_that_airflow_keeps_are_printed_as_they_are(run, words):
    printed = run("request", MOUS, "--correlation-id", words).stdout
    assert printed.endswith(f"\nFollow it: alma-restore status {words} --wait\n")
    assert run("list").stdout.splitlines()[1].startswith(f"{words}  ")


def test_waiting_shows_the_stages_and_ends_with_the_end(run, catalogue, opened):
    def go():
        catalogue.start_stage(opened.id, "run_casa")
        time.sleep(0.3)
        catalogue.finish(opened.id)

    worker = threading.Thread(target=go)
    worker.start()
    result = run("status", "key", "--wait")
    worker.join()
    assert "delivered" in result.stdout
    assert "100%" in result.stderr
    assert "delivered" in run("request", MOUS, "--correlation-id", "key", "--wait").stdout


def test_waiting_can_be_given_up(run, opened):
    assert "it goes on" in run("status", "key", "--wait", "--timeout", "0.05", exit_code=Exit.NOT_AVAILABLE).stderr


def test_the_list_shows_the_newest_first(run, catalogue, opened):
    other = catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X1"))
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["restore", str(other.number), str(opened.number)]
    told = json.loads(run("list", "--email", "ada@example.org", "--since", "2020-01-01", "--json").stdout)
    assert [each["number"] for each in told] == [opened.number]
    assert json.loads(run("list", "--state", "failed", "--state", "refused", "--json").stdout) == []


def test_the_list_comes_from_airflow_where_the_catalogue_is_out_of_reach(airflow, run):
    run("request", MOUS, "--correlation-id", "k")
    assert run("list").stdout.splitlines()[1].split()[:3] == ["k", MOUS, "accepted"]


def test_cancel_and_retry(airflow, run, catalogue, opened):
    catalogue.start_stage(opened.id, "run_casa")
    assert run("cancel", "key", "--note", "Wrong one.").stdout == f"The restore of {MOUS} is cancelled.\n"
    assert airflow.runs[opened.run_id]["state"] == "failed"
    assert "has ended already" in run("cancel", "key", exit_code=Exit.FAILED).stderr
    assert run("retry", "key").stdout == f"The restore of {MOUS} is accepted.\n"
    assert airflow.runs[opened.run_id]["state"] == "queued"
    assert catalogue.get(opened.id).attempt == 2
    assert "has not ended" in run("retry", "key", exit_code=Exit.FAILED).stderr


def test_a_retry_can_be_waited_for(run, airflow, catalogue, opened):
    catalogue.cancel(opened.id)
    airflow.run_goes(opened.run_id, "failed")

    def go():
        while catalogue.get(opened.id).state != "accepted":
            time.sleep(0.01)
        catalogue.start_stage(opened.id, "run_casa")
        catalogue.finish(opened.id)

    worker = threading.Thread(target=go)
    worker.start()
    told = json.loads(run("retry", "key", "--wait", "--json").stdout)
    worker.join()
    assert told["state"] == "delivered"


def test_ctrl_c_while_waiting_is_exit_code_130(run, opened, surroundings):
    def interrupt(*_):
        raise KeyboardInterrupt

    surroundings.setattr("alma_restore.client.desk.time.sleep", interrupt)
    run("status", "key", "--wait", exit_code=Exit.INTERRUPTED)


def test_the_version_is_told(run):
    from alma_restore import __version__

    assert run("--version").stdout == f"{__version__}\n"
