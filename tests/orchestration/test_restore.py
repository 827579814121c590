"""restore_mous: a good request is delivered, a bad one ends in one clear sentence, stored and mailed."""

from __future__ import annotations

import getpass
import json
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from alma_restore import settings
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.request import RestoreRequest
from alma_restore.restore import opening
from far_end import SSHD, far_end

ONE_EB = "uid://A001/X1284/X266"
MAIN = "uid://A001/X12d1/X23e"
EMAIL = "astronomer@example.org"


@pytest.fixture
def restore(dag_of, home, catalogue, mails):
    """Run restore_mous on a conf; returns the request as stored, and the mails sent when it had ended."""

    def run(**conf):
        dag_run = dag_of("restore_mous").test(run_conf={"email": EMAIL, **conf})
        request = catalogue.by_run_id(dag_run.run_id)
        assert request is not None
        return request, [mail for mail in mails.mails() if not mail["Subject"].endswith(": accepted")]

    return run


def text_of(mail):
    return mail.get_body(("plain",)).get_content()


def delivered_folders(home):
    return [path for path in (home / "deliveries").glob("*") if not path.name.startswith(".")]


def test_one_restore_is_delivered_verified_and_told(restore, home, catalogue, mails):
    request, told = restore(eb_uid=next(str(mous.ebs[0].uid) for mous in DEMO_MOUSS if mous.uid == ONE_EB))
    assert (request.state, request.mous_uid, request.reason) == ("delivered", ONE_EB, "")
    (folder,) = delivered_folders(home)
    assert [path.name for path in folder.glob("*.ms")] == ["uid___A002_Xcc8b1f_X2d1a.ms"]
    wanted = ("PPR.xml", "restore.json", "report.html", "README.txt", "flux.csv", "SHA256SUMS")
    assert all((folder / name).is_file() for name in wanted)
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    (mail,) = told
    assert mail["To"] == EMAIL
    assert str(folder) in text_of(mail)
    assert [mail["Subject"] for mail in mails.mails()] == [
        f"ALMA restore of {ONE_EB}: accepted",
        f"ALMA restore of {ONE_EB}: calibrated data delivered",
    ]
    assert request.workspace == ""
    assert list(settings.settings().spool_root.glob("uid___*")) == []
    assert catalogue.reserved_bytes(settings.settings().spool_root) == 0
    told = json.loads((folder / "restore.json").read_text())
    assert told["verified_with"]["casa"] == told["restored_with"]["casa"]
    assert told["peak_memory_bytes"] > 50e6


def manifest_names_another_session(archive):
    for manifest in (archive / "ngas").glob("*X266*pipeline_manifest.xml"):
        manifest.write_text(manifest.read_text().replace("uid___A002_Xcc8b1f_X2d1a", "uid___A002_Xcc8b1f_X9999"))


def product_missing(archive):
    next((archive / "ngas").glob("*X2d1a*.flagversions.tgz")).unlink()


def tgz_cut_short(archive):
    product = next((archive / "ngas").glob("*X266*.caltables.tgz"))
    product.write_bytes(product.read_bytes()[:-1000])


def tgz_garbled(archive):
    product = next((archive / "ngas").glob("*X266*.caltables.tgz"))
    product.write_bytes(bytes(len(product.read_bytes())))


def asdm_cut_short(archive):
    bdf = next((archive / "asdm" / "uid___A002_Xcc8b1f_X2d1a" / "ASDMBinary").iterdir())
    bdf.write_bytes(bdf.read_bytes()[:-500])


def asdm_missing(archive):
    shutil.rmtree(archive / "asdm" / "uid___A002_Xcc8b1f_X2d1a")


def windows_numbered_otherwise(archive):
    table = archive / "asdm" / "uid___A002_Xd248b5_Xcc1" / "SpectralWindow.xml"
    text = (
        table.read_text()
        .replace("SpectralWindow_0", "SpectralWindow_7")
        .replace("SpectralWindow_1", "SpectralWindow_0")
    )
    table.write_text(text.replace("SpectralWindow_7", "SpectralWindow_1"))


def database_gone(archive):
    (archive / "metadata.sqlite").unlink()


def qa0_changed(archive):
    with sqlite3.connect(archive / "metadata.sqlite") as connection:
        connection.execute(
            "UPDATE AQUA_EXECBLOCK SET QA0STATUS = 'Fail' WHERE EXECBLOCKUID LIKE 'uid://A002/Xd248b5/Xcc1%'"
        )


@pytest.mark.skipif(SSHD is None, reason="no sshd is installed (Debian: openssh-server)")
def test_averaged_targets_are_delivered_as_tar_files_to_an_sftp_site_that_airflow_knows(
    restore, home, catalogue, tmp_path, monkeypatch
):
    with far_end(tmp_path / "sshd") as site:
        _, kind, key = (tmp_path / "sshd" / "known_hosts").read_text().split()
        extra = {"key_file": str(site.client_key), "host_key": f"{kind} {key}", "no_host_key_check": False}
        login = {
            "conn_type": "sftp",
            "host": "127.0.0.1",
            "port": site.port,
            "login": getpass.getuser(),
            "extra": extra,
        }
        monkeypatch.setenv("AIRFLOW_CONN_FAR_END", json.dumps(login))
        monkeypatch.setenv("ALMA_RESTORE_DELIVERY__SFTP_ROOTS", json.dumps([f"sftp://far_end/{tmp_path}/incoming"]))
        settings.settings.cache_clear()
        (tmp_path / "incoming").mkdir()
        split = {"intent": "TARGET", "spw": "1", "chanbin": 2, "timebin": "12.2s"}
        where = f"sftp://far_end/{tmp_path}/incoming"
        request, mails = restore(mous_uid=ONE_EB, destination=where, split=split, tar=True)
    assert (request.state, request.reason) == ("delivered", "")
    (folder,) = (tmp_path / "incoming").iterdir()
    subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert [path.name for path in folder.glob("*.ms*") if path.suffix in (".ms", ".tar")] == [
        "uid___A002_Xcc8b1f_X2d1a_targets.ms.tar"
    ]
    subprocess.run(["tar", "-xf", next(folder.glob("*.tar"))], cwd=tmp_path, check=True)
    assert (tmp_path / "uid___A002_Xcc8b1f_X2d1a_targets.ms" / "table.dat").is_file()
    told = json.loads((folder / "restore.json").read_text())
    assert (
        told["split"]["what"] == "TARGET data of spectral windows 1, 2 channels averaged into one, averaged over 12.2s"
    )
    (found,) = told["execution_blocks"].values()
    assert found["split"]["windows"] == {"1": {"channels": 16, "of": 32}}
    assert catalogue.delivery(request.id).expires_at is None
    assert "sftp://far_end/" in text_of(mails[0])


BAD = [
    # conf, damage, state, words of the reason
    ({"mous_uid": "uid://A001/X1/X2"}, None, "refused", ["uid://A001/X1/X2"]),
    ({"eb_uid": "uid://A002/X1/X2"}, None, "refused", ["uid://A002/X1/X2"]),
    ({"mous_uid": ONE_EB, "mous": "x"}, None, "refused", ["Unknown field 'mous'"]),
    ({"mous_uid": ONE_EB, "casa_version": "5.1.1-5"}, None, "refused", ["5.1.1-5"]),
    ({"mous_uid": ONE_EB, "destination": "/etc"}, None, "refused", ["/etc"]),
    ({"mous_uid": ONE_EB, "split": {"spw": "1,99"}}, None, "refused", ["spectral window 99"]),
    (
        {"mous_uid": MAIN, "split": {"spw": "1"}},
        windows_numbered_otherwise,
        "refused",
        ["Spectral window 1", "#BB_2#", "uid://A002/Xd248b5/Xa7a", "#BB_1#", "uid://A002/Xd248b5/Xcc1"],
    ),
    ({"mous_uid": "uid://A001/X12a3/X80e"}, None, "refused", ["by hand", "scriptForCalibration.py"]),
    ({"mous_uid": ONE_EB}, product_missing, "failed", ["flagversions.tgz"]),
    ({"mous_uid": ONE_EB}, tgz_cut_short, "failed", ["caltables.tgz"]),
    ({"mous_uid": ONE_EB}, tgz_garbled, "failed", ["caltables.tgz"]),
    ({"mous_uid": ONE_EB}, asdm_cut_short, "failed", ["uid"]),
    ({"mous_uid": ONE_EB}, asdm_missing, "failed", ["uid://A002/Xcc8b1f/X2d1a"]),
    ({"mous_uid": ONE_EB}, manifest_names_another_session, "failed", ["uid"]),
    ({"mous_uid": MAIN}, qa0_changed, "failed", ["uid://A002/Xd248b5/Xcc1"]),
    ({"mous_uid": ONE_EB}, database_gone, "failed", ["metadata.sqlite"]),
]


@pytest.mark.parametrize(("conf", "damage", "state", "words"), BAD, ids=lambda case: getattr(case, "__name__", None))
def test_a_bad_request_ends_in_one_sentence_stored_and_mailed(restore, home, archive, conf, damage, state, words):
    if damage:
        damage(archive)
    request, mails = restore(**conf)
    assert request.state == state
    assert all(word in request.reason for word in words), request.reason
    assert "\n" not in request.reason
    assert delivered_folders(home) == []
    assert [mail["To"] for mail in mails] == [EMAIL]
    assert request.reason.split()[0] in text_of(mails[0])


def test_a_run_with_the_words_of_an_earlier_one_is_a_request_of_its_own(restore, home, catalogue):
    """As Airflow's "Trigger again with this config" makes it, the correlation id included."""
    words = {"mous_uid": ONE_EB, "destination": "/etc", "correlation_id": "night-1"}
    first, _ = restore(**words)
    second, mails = restore(**words)
    assert (first.error_code, second.error_code) == ("destination_not_allowed",) * 2
    assert (first.correlation_id, second.correlation_id) == ("night-1", second.run_id)
    assert len(mails) == 2

    active = catalogue.open_request(RestoreRequest(mous_uid=ONE_EB, correlation_id="night-2"), "its run")
    refused, mails = restore(mous_uid=ONE_EB, correlation_id="night-2")
    assert (refused.state, refused.error_code) == ("refused", "already_requested")
    assert str(active.number) in refused.reason
    assert len(mails) == 3
    assert catalogue.get(active.id).state == "accepted"


def test_a_bad_address_is_refused_and_mailed_to_nobody(restore, home):
    request, mails = restore(mous_uid=ONE_EB, email="nobody at all")
    assert (request.state, mails) == ("refused", [])
    assert "nobody at all" in request.reason


def test_a_casa_whose_results_nothing_can_verify_is_refused_before_it_runs(restore, tmp_path, monkeypatch):
    (tmp_path / "casa.toml").write_text(
        f'[[installation]]\nname = "old"\nengine = "casatasks"\ncasa_version = "99.0.0"\npython = "{sys.executable}"\n'
    )
    monkeypatch.setenv("ALMA_RESTORE_CASA__INSTALLATIONS", str(tmp_path / "casa.toml"))
    settings.settings.cache_clear()
    request, _ = restore(mous_uid=ONE_EB)
    assert (request.state, request.stage) == ("failed", "stage")
    assert request.reason.startswith("old restores, and nothing can verify what it makes")


def test_too_little_disk_is_told_before_anything_is_fetched(restore, home, monkeypatch):
    monkeypatch.setenv("ALMA_RESTORE_DISK__SPARE_BYTES", str(10**18))
    settings.settings.cache_clear()
    request, mails = restore(mous_uid=ONE_EB)
    assert (request.state, len(mails)) == ("failed", 1)
    assert "of disk" in request.reason
    assert not list((home / "spool").glob("*/rawdata/*"))

    split, _ = restore(mous_uid=ONE_EB, split={"intent": "TARGET"})
    assert bytes_needed(split) / bytes_needed(request) == pytest.approx(9 / 7, abs=0.1)


def bytes_needed(request):
    number, unit = re.search(r"needs ([0-9.]+) (\w+) of disk", request.reason).groups()
    return float(number) * {"kB": 1e3, "MB": 1e6, "GB": 1e9}[unit]


def test_a_disk_full_of_promises_pauses_a_restore_until_another_has_ended(restore, home, catalogue, monkeypatch):
    other = catalogue.open_request(RestoreRequest(mous_uid=MAIN))
    spool = settings.settings().spool_root
    catalogue.reserve(other.id, spool, 10**17, free_bytes=lambda: 10**18)
    waited = []

    def end_the_other(_, request_id, text):
        if "tried again" in text and not waited:
            waited.append(text)
            catalogue.release(other.id)

    told, report_used = {}, Catalogue.report_used

    def note_stage(self, request_id, used_bytes):
        told[self.get(request_id).stage] = used_bytes
        report_used(self, request_id, used_bytes)

    monkeypatch.setattr(Catalogue, "note", end_the_other)
    monkeypatch.setattr(Catalogue, "report_used", note_stage)
    request, _ = restore(mous_uid=ONE_EB)
    assert request.state == "delivered"
    assert "promised to 1 other" in waited[0]
    assert 0 < told["stage"] < told["verify"] <= told["deliver"], "what CASA wrote is no promise any more"
    stages = [line.stage for line in catalogue.history(request.id)]
    assert stages.count("open_request") == 1, "while it waits, it is seen to wait for disk"


def test_a_dead_mail_server_fails_nothing(restore, home, catalogue, mails, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ALMA_SMTP", '{"conn_type": "smtp", "host": "127.0.0.1", "port": 1}')
    request, _ = restore(mous_uid="uid://A001/X12a3/X80e")
    assert request.state == "refused"
    assert any("could not be sent" in line.note for line in catalogue.history(request.id))


@pytest.mark.parametrize(
    ("told", "user", "asker"),
    [("", "ada", "ada"), ("ada", "ada", "ada"), ("detection", None, "detection"), ("ada", "eve", "ada, through eve")],
)
def test_who_starts_a_run_in_the_name_of_another_is_named(told, user, asker):
    assert opening.asker(told, user) == asker
