"""Downloads: whole and exact, and never anything outside the delivery."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import datetime, timedelta, timezone

import pytest
from page_tools import ask, request_of

from alma_restore.settings import DeliverySettings, Settings
from alma_restore.web import downloads

EXPIRES = datetime.now(timezone.utc) + timedelta(days=21)


@pytest.fixture
def delivered(client, house, restorable):
    """A delivered request: its id and the folder of its delivery."""
    request_id = request_of(ask(client, restorable))
    folder = house.settings.delivery_root / "uid___A001_X1_X1__abcd"
    (folder / "eb.ms" / "SUB").mkdir(parents=True)
    (folder / "eb.ms" / "table.dat").write_bytes(os.urandom(3_000_001))
    (folder / "eb.ms" / "SUB" / "empty").write_bytes(b"")
    (folder / "eb.ms" / ("long" * 40)).write_text("a long name")
    (folder / "with blank & ü.txt").write_text("text")
    (folder / "SHA256SUMS").write_text("sums")
    (folder / "report.html").write_text("<h1>Report</h1>")
    _record(house, request_id, folder)
    return request_id, folder


def _record(house, request_id, path):
    house.catalogue.record_delivery(
        request_id, destination="", path=str(path), size_bytes=9, files=5, sha256="0" * 64, expires_at=EXPIRES
    )


def test_the_page_offers_what_was_delivered(client, house, delivered):
    request_id, folder = delivered
    house.catalogue.start_stage(request_id, "deliver")
    house.catalogue.finish(request_id)
    page = client.get(f"/requests/{request_id}").text
    for text in (str(folder), f"{EXPIRES:%Y-%m-%d}", "0" * 64, "eb.ms.tar", "The restore report", "SHA256SUMS"):
        assert text in page


def test_each_file_of_a_folder_is_looked_at_once_and_small_ones_come_together(client, delivered, monkeypatch):
    request_id, folder = delivered
    small = folder / "eb.ms" / "SUB"
    for number in range(300):
        (small / f"table.f{number}").write_bytes(b"x")
    asked, stat = [], os.stat
    monkeypatch.setattr(os, "stat", lambda path, **kw: asked.append(str(path)) or stat(path, **kw))
    answer = client.get(f"/requests/{request_id}/download")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert all(asked.count(str(file)) == 1 for file in small.iterdir())
    assert len(list(downloads.tar_of(small, "SUB").read())) == 1


@pytest.mark.parametrize("what", ["download", "files/eb.ms"])
def test_a_folder_comes_as_tar_of_the_told_length(client, delivered, what):
    request_id, folder = delivered
    source = folder if what == "download" else folder / "eb.ms"
    answer = client.get(f"/requests/{request_id}/{what}")
    assert answer.headers["content-disposition"].endswith(f"{source.name}.tar")
    assert answer.headers["content-encoding"] == "identity"
    assert int(answer.headers["content-length"]) == len(answer.content)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        wanted = {str(path.relative_to(source.parent)) for path in (source, *source.rglob("*"))}
        assert set(members) == wanted
        for name, member in members.items():
            if member.isfile():
                assert tar.extractfile(member).read() == (source.parent / name).read_bytes()


def test_a_file_comes_as_it_is_also_from_its_middle(client, delivered):
    request_id, folder = delivered
    answer = client.get(f"/requests/{request_id}/files/with blank & ü.txt")
    assert (answer.status_code, answer.text) == (200, "text")
    assert answer.headers["content-disposition"].startswith("attachment")
    part = client.get(f"/requests/{request_id}/files/eb.ms/table.dat", headers={"Range": "bytes=3000000-"})
    assert part.content == (folder / "eb.ms" / "table.dat").read_bytes()[3_000_000:]


def test_the_report_is_shown_and_can_run_nothing(client, delivered):
    answer = client.get(f"/requests/{delivered[0]}/report")
    assert answer.text == "<h1>Report</h1>"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers.get("content-disposition") is None


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "..%2Fsecret",
        "%2e%2e/secret",
        "eb.ms/../../secret",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "link",
        "folder-link/secret",
        "loop",
        "nothing",
        "%00",
        "eb.ms/table.dat/x",
        "a" * 5000,
    ],
)
def test_nothing_outside_the_delivery_comes_out(client, house, delivered, name):
    request_id, folder = delivered
    secret = house.settings.delivery_root / "secret"
    secret.write_text("secret")
    (folder / "link").symlink_to(secret)
    (folder / "folder-link").symlink_to(house.settings.delivery_root)
    (folder / "loop").symlink_to(folder / "loop")
    answer = client.get(f"/requests/{request_id}/files/{name}")
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_links_are_left_out_of_a_tar(client, house, delivered):
    request_id, folder = delivered
    secret = house.settings.delivery_root / "secret"
    secret.write_text("the secret content")
    (folder / "eb.ms" / "link").symlink_to(secret)
    answer = client.get(f"/requests/{request_id}/download")
    assert b"the secret content" not in answer.content
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert not any(name.endswith("link") for name in tar.getnames())
    assert client.get(f"/requests/{request_id}").status_code == 200


@pytest.mark.parametrize("where", ["outside", "root itself", "gone", "elsewhere", "link"])
def test_only_what_lies_below_the_delivery_roots_is_a_delivery(client, house, delivered, tmp_path, where):
    request_id, folder = delivered
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "SHA256SUMS").write_text("secret")
    (house.settings.delivery_root / "linked").symlink_to(outside)
    path = {
        "outside": outside,
        "root itself": house.settings.delivery_root,
        "gone": folder / "gone",
        "elsewhere": "sftp://far/away",
        "link": house.settings.delivery_root / "linked",
    }[where]
    _record(house, request_id, path)
    for what in ("download", "files/SHA256SUMS", "report"):
        assert client.get(f"/requests/{request_id}/{what}").status_code == 404
    assert "Download all" not in client.get(f"/requests/{request_id}").text


def test_an_allowed_root_is_as_good_as_the_default_one(house, tmp_path, delivered):
    request_id, _ = delivered
    other = tmp_path / "other" / "one"
    other.mkdir(parents=True)
    _record(house, request_id, other)
    settings = Settings(home=tmp_path, delivery=DeliverySettings(allowed_roots=(other.parent,)))
    assert downloads.delivered_folder(house.catalogue.delivery(request_id), settings) == other


def test_what_was_removed_is_gone(client, house, delivered):
    request_id, _ = delivered
    house.catalogue.mark_removed(request_id)
    assert client.get(f"/requests/{request_id}/download").status_code == 404
    assert client.get(f"/requests/{request_id}").status_code == 200


def test_a_file_that_changes_while_it_is_sent_breaks_the_download_off(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"x" * 2_000_000)
    chunks = downloads.tar_of(tmp_path / "d", "d").read()
    for _ in range(3):
        next(chunks)
    (tmp_path / "d" / "a").write_bytes(b"x")
    with pytest.raises(OSError, match="shorter"):
        list(chunks)
