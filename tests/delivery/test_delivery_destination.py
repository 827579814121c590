"""Deliveries go where the observatory lets them go."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from alma_restore.delivery.destination import FolderDestination, SftpDestination, check, delivery_name
from alma_restore.errors import Refused
from alma_restore.settings import DeliverySettings, Settings
from alma_restore.uid import Uid


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "lustre").mkdir()
    delivery = DeliverySettings(
        root=tmp_path / "deliveries",
        allowed_roots=(tmp_path / "lustre",),
        sftp_roots=("sftp://mirror/incoming", "sftp://mirror//data/alma"),
    )
    return Settings(home=tmp_path, delivery=delivery)


def test_nothing_asked_for_is_the_default_root(settings, tmp_path):
    assert check("", settings) == FolderDestination(tmp_path / "deliveries")


def test_folders_below_the_roots_are_allowed_whether_they_exist_or_not(settings, tmp_path):
    for folder in ("deliveries", "deliveries/ada", "lustre/ada/2026", "lustre/a/../b"):
        assert check(str(tmp_path / folder), settings) == FolderDestination((tmp_path / folder).resolve())


@pytest.mark.parametrize(
    "wanted", ["/etc", "{tmp}", "{tmp}/lustre/../other", "{tmp}/lustre2", "{tmp}/lustre/link/below"]
)
def test_folders_elsewhere_are_refused_and_the_roots_named(settings, tmp_path, wanted):
    (tmp_path / "lustre" / "link").symlink_to(tmp_path / "elsewhere")
    text = wanted.format(tmp=tmp_path)
    with pytest.raises(Refused) as refusal:
        check(text, settings)
    assert refusal.value.code == "destination_not_allowed"
    assert refusal.value.sentence == f"The destination {text} lies outside the folders that deliveries may go to."
    assert f"{tmp_path}/deliveries, {tmp_path}/lustre;" in refusal.value.remedy


def test_a_root_that_is_a_link_counts_as_what_it_points_to(settings, tmp_path):
    (tmp_path / "lustre").rmdir()
    (tmp_path / "real").mkdir()
    (tmp_path / "lustre").symlink_to("real")
    assert check(str(tmp_path / "lustre" / "ada"), settings) == FolderDestination(tmp_path / "real" / "ada")


@pytest.mark.parametrize("wanted", ["deliveries", "~/data", "../x"])
def test_relative_folders_are_refused(settings, wanted):
    with pytest.raises(Refused, match="is not an absolute path"):
        check(wanted, settings)


def test_a_file_is_no_destination(settings, tmp_path):
    (tmp_path / "lustre" / "file").touch()
    with pytest.raises(Refused, match="is not a folder"):
        check(str(tmp_path / "lustre" / "file"), settings)


def test_a_place_that_can_never_be_written_is_refused(settings, tmp_path):
    (tmp_path / "lustre" / "one").symlink_to("other")
    (tmp_path / "lustre" / "other").symlink_to("one")
    (tmp_path / "lustre" / "file").touch()
    for place in ("one", "one/ada", "x" * 300, "file/ada"):
        with pytest.raises(Refused, match="cannot be looked at") as refusal:
            check(f"{tmp_path}/lustre/{place}", settings)
        assert refusal.value.code == "destination_not_allowed"


@contextmanager
def as_somebody_else():
    """Whoever runs the tests: with no right to what is root's."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_place_in_a_folder_closed_to_us_is_refused(settings, tmp_path):
    (tmp_path / "lustre" / "ada").mkdir(mode=0)
    with as_somebody_else(), pytest.raises(Refused, match="cannot be looked at: Permission denied"):
        check(f"{tmp_path}/lustre/ada/alma", settings)


def test_a_disk_that_does_not_answer_now_refuses_nothing(settings, tmp_path, monkeypatch):
    def stale(*_, **__):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Path, "stat", stale)
    assert check(f"{tmp_path}/lustre/ada", settings) == FolderDestination(tmp_path / "lustre" / "ada")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("sftp://mirror/incoming", "incoming"),
        ("sftp://mirror/incoming/ada%20l", "incoming/ada l"),
        ("sftp://mirror//data/alma/x", "/data/alma/x"),
    ],
)
def test_sftp_sites_are_named_by_their_connection(settings, url, root):
    assert check(url, settings) == SftpDestination("mirror", PurePosixPath(root))


@pytest.mark.parametrize(
    "url",
    [
        "sftp://mirror",
        "sftp://mirror/",
        "sftp://mirror//incoming",
        "sftp://mirror/incoming/../other",
        "sftp://alma_ngas/incoming",
        "sftp:///incoming",
        "https://mirror/incoming",
        "file:///etc",
        "sftp://[mirror/incoming",
        "sftp://mirror℀/incoming",
        "https://[::1/incoming",
    ],
)
def test_other_urls_are_refused(settings, url):
    with pytest.raises(Refused, match="sftp://mirror/incoming") as refusal:
        check(url, settings)
    assert refusal.value.code == "destination_not_allowed"


def test_a_destination_is_printed_as_it_was_asked_for(settings, tmp_path):
    for text in ("sftp://mirror//data/alma/x", "sftp://mirror/incoming", str(tmp_path / "lustre" / "x")):
        assert str(check(text, settings)) == text


def test_the_folder_of_a_delivery_names_mous_and_request():
    name = delivery_name(Uid("uid://A001/X12d1/X23e"), "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab")
    assert name == "uid___A001_X12d1_X23e__f1a4dd4a"
