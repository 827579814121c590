"""`alma-restore doctor`: each thing a restore needs, working and broken, against real servers where there are any."""

from __future__ import annotations

import json
import sys

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from alma_restore.catalogue.store import Catalogue
from alma_restore.cli import checks
from alma_restore.cli.doctor import look
from alma_restore.cli.exits import Exit
from alma_restore.cli.main import app
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.request import RestoreRequest
from alma_restore.settings import load

INSTALLATION = """
[[installation]]
name = "casa-6.6.1"
engine = "casatasks"
casa_version = "6.6.1-17"
python = "{python}"
"""


@pytest.fixture
def healthy(at_the_archive, tmp_path):
    """An installation to which nothing is missing."""
    (tmp_path / "casa.toml").write_text(INSTALLATION.format(python=sys.executable))
    environment = at_the_archive
    environment.setenv("ALMA_RESTORE_CASA__INSTALLATIONS", str(tmp_path / "casa.toml"))
    environment.setenv("ALMA_RESTORE_EXPORTER__COMMAND", json.dumps([sys.executable, "-m", "exporter"]))
    Catalogue.opened(load().catalogue)
    (tmp_path / "ngas").mkdir()
    with MailCatcher(tmp_path / "mails") as mails, NgasServer(tmp_path / "ngas") as ngas:
        plain = {"disable_ssl": True, "disable_tls": True}
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": mails.port, "extra": plain}
        environment.setenv("AIRFLOW_CONN_ALMA_SMTP", json.dumps(smtp))
        environment.setenv("AIRFLOW_CONN_ALMA_NGAS", f"http://127.0.0.1:{ngas.server_port}")
        yield environment


def examined(exit_code: int) -> dict[str, dict[str, str]]:
    """What the doctor finds, by the name of the check."""
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exit_code == exit_code, result.output
    return {finding["name"]: finding for finding in json.loads(result.stdout)}


def finding(name: str):
    return look(name, checks.CHECKS[name], load())


def test_a_healthy_installation_is_told_so_line_by_line(healthy):
    findings = examined(exit_code=Exit.OK)
    assert list(findings) == list(checks.CHECKS)
    assert {name for name, each in findings.items() if each["verdict"] != "ok"} == {"events"}
    lines = CliRunner().invoke(app, ["doctor"]).stdout.splitlines()
    assert len(lines) == len(checks.CHECKS)
    assert lines[0].startswith("ok")


def test_one_thing_wrong_is_exit_code_1_and_says_what_to_mend(healthy, airflow):
    airflow.paused = True
    found = examined(exit_code=Exit.FAILED)["DAGs"]
    assert found["sentence"] == "The DAG restore_mous is paused."
    assert found["remedy"] == "Run `airflow dags unpause restore_mous`."


def test_an_airflow_whose_scheduler_is_down_is_ill_though_it_answers_200(healthy, airflow):
    airflow.health["scheduler"] = "unhealthy"
    assert "not well: scheduler: unhealthy" in finding("Airflow").sentence
    airflow.down = True
    assert finding("Airflow").verdict == "wrong"
    assert finding("DAGs").verdict == "not checked"


def test_a_dag_file_that_cannot_be_read_is_named(healthy, airflow):
    airflow.import_errors = [{"filename": "restore_mous.py", "stack_trace": "Traceback\nImportError: no lxml\n"}]
    assert "restore_mous.py: ImportError: no lxml" in finding("DAGs").sentence


@pytest.mark.parametrize("name", ["metadata database", "NGAS", "mail"])
def test_what_airflow_keeps_itself_is_not_checked_and_that_is_said(surroundings, name):
    found = finding(name)
    assert found.verdict == "not checked"
    assert "is not set here; what Airflow itself keeps cannot be seen" in found.sentence


@pytest.mark.parametrize(
    ("name", "variable", "value", "told"),
    [
        ("metadata database", "AIRFLOW_CONN_ALMA_METADATA", "alma-embedded://%2Fnowhere%2Fmetadata.sqlite", "/nowhere"),
        ("NGAS", "AIRFLOW_CONN_ALMA_NGAS", "http://127.0.0.1:1", "NGAS at 127.0.0.1:1 does not answer"),
        ("NGAS", "AIRFLOW_CONN_ALMA_NGAS", "http://:7777", "No NGAS node is named"),
        ("mail", "AIRFLOW_CONN_ALMA_SMTP", "smtp://127.0.0.1:1", "The mail server 127.0.0.1 does not take us"),
        ("raw data exporter", "ALMA_RESTORE_EXPORTER__COMMAND", '["asdmExportNot"]', "no command 'asdmExportNot'"),
        ("raw data exporter", "ALMA_RESTORE_EXPORTER__SETUP_SCRIPT", "/nowhere.sh", "after /nowhere.sh"),
        ("launcher", "ALMA_RESTORE_CASA__LAUNCHER", "pigeon", "no launcher 'pigeon'"),
        ("CASA", "ALMA_RESTORE_CASA__INSTALLATIONS", "/nowhere.toml", "/nowhere.toml"),
        ("delivery", "ALMA_RESTORE_DELIVERY__ROOT", "/proc/deliveries", "Nothing can be written to /proc/deliveries"),
        ("spool", "ALMA_RESTORE_DISK__SPARE_BYTES", str(10**18), "kept spare"),
        ("catalogue", "ALMA_RESTORE_CATALOGUE_URL", "sqlite:////nowhere/catalogue.db", "does not answer"),
        ("events", "AIRFLOW_CONN_ALMA_EVENTS", "amqp://127.0.0.1:1", "The broker at 127.0.0.1:1 does not answer"),
        ("events", "AIRFLOW_CONN_ALMA_EVENTS", "http://mq", "is of kind 'http'"),
    ],
)
def test_what_is_broken_is_named_with_what_to_do(healthy, name, variable, value, told):
    healthy.setenv(variable, value)
    found = finding(name)
    assert found.verdict == "wrong"
    assert told in found.sentence
    assert found.remedy


def test_a_catalogue_that_contradicts_itself_is_told_with_the_request(healthy):
    catalogue = Catalogue(load().catalogue)
    record = catalogue.open_request(RestoreRequest(mous_uid="uid://A001/X1/X1"))
    with catalogue.engine.begin() as connection:
        connection.execute(text("UPDATE request SET state = 'delivered'"))
    assert f"Request {record.id} is delivered; its history ends with accepted." in finding("catalogue").sentence


@pytest.mark.parametrize(
    ("script", "partition", "verdict", "told"),
    [
        ("echo long; echo short", "", "ok", "Slurm answers; its partitions: long, short."),
        ("echo long", "casa", "wrong", "Slurm has no partition casa, only long."),
        ("echo 'slurm_load_partitions: Unable to contact' >&2; exit 1", "", "wrong", "Unable to contact"),
        ("exit 127", "", "wrong", "There is no sinfo here"),
    ],
)
def test_slurm_is_asked_whether_it_is_there(healthy, tmp_path, script, partition, verdict, told):
    sinfo = tmp_path / "bin" / "sinfo"
    sinfo.parent.mkdir()
    sinfo.write_text(f"#!/bin/sh\n{script}\n")
    sinfo.chmod(0o755)
    healthy.setenv("PATH", f"{sinfo.parent}:/usr/bin:/bin")
    healthy.setenv("ALMA_RESTORE_CASA__LAUNCHER", "slurm")
    healthy.setenv("ALMA_RESTORE_CASA__SLURM", json.dumps({"partition": partition}))
    found = finding("launcher")
    assert found.verdict == verdict
    assert told in found.sentence


def test_a_casa_whose_program_is_gone_is_named(healthy, tmp_path):
    (tmp_path / "casa.toml").write_text(INSTALLATION.format(python="/nowhere/python"))
    assert "CASA casa-6.6.1 needs /nowhere/python" in finding("CASA").sentence


def test_an_ngas_that_does_not_know_us_is_told_from_one_that_is_away(healthy, tmp_path):
    with NgasServer(tmp_path / "ngas", credentials=("ada", "secret")) as ngas:
        healthy.setenv("AIRFLOW_CONN_ALMA_NGAS", f"http://127.0.0.1:{ngas.server_port}")
        assert "does not let us in" in finding("NGAS").sentence
        healthy.setenv("AIRFLOW_CONN_ALMA_NGAS", f"http://ada:secret@127.0.0.1:{ngas.server_port}")
        assert finding("NGAS").verdict == "ok"


def test_something_else_that_listens_is_no_ngas(healthy, airflow):
    healthy.setenv("AIRFLOW_CONN_ALMA_NGAS", airflow.url)
    assert "is no NGAS" in finding("NGAS").sentence


def test_an_exporter_that_only_its_setup_script_knows_is_found(healthy, tmp_path):
    command = tmp_path / "bin" / "asdmExportLight"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / "setup.sh").write_text(f"export PATH={command.parent}:$PATH\n")
    healthy.setenv("ALMA_RESTORE_EXPORTER__COMMAND", '["asdmExportLight"]')
    assert finding("raw data exporter").verdict == "wrong"
    healthy.setenv("ALMA_RESTORE_EXPORTER__SETUP_SCRIPT", str(tmp_path / "setup.sh"))
    assert finding("raw data exporter").verdict == "ok"


def test_a_defect_of_one_check_hides_nothing(healthy):
    def defective(_):
        raise ZeroDivisionError

    found = look("it", defective, load())
    assert (found.verdict, found.sentence) == ("wrong", "The check itself failed: ZeroDivisionError().")
