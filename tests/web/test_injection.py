"""What people and files are called reaches pages and headers as text, and does nothing there."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from page_tools import ask, request_of

from alma_restore.errors import Corrupt
from alma_restore.request import RestoreRequest
from alma_restore.web import access
from alma_restore.web.access import Visitor

TAG = "<img src=x onerror=alert(1)>"
BREAKS = ['"><script>alert(1)</script>', "' onmouseover='alert(1)", TAG, "{{ 7 * 7 }}", "</title><h1>x"]
HEADER = "a\r\nX-Evil: 1\r\n\r\n<script>"


@pytest.mark.parametrize("evil", BREAKS)
def test_no_name_becomes_part_of_a_page(app, client, house, restorable, evil):
    app.dependency_overrides[access.visitor] = lambda: Visitor("9", evil, may_request=True)
    record = house.catalogue.open_request(
        RestoreRequest(mous_uid=restorable, requested_by=evil, casa_version=evil, destination=f"/x/{evil}")
    )
    house.catalogue.start_stage(record.id, "fetch_products", note=evil)
    house.catalogue.fail(record.id, Corrupt(f"{evil} is damaged.", remedy=evil, log_tail=f"{evil}\n{evil}"), "verify")
    for path in (f"/requests/{record.id}", "/requests", f"/{restorable.sanitised}", f"/?q={quote(evil)}"):
        answer = client.get(path)
        assert answer.status_code in (200, 404, 422)
        assert evil not in answer.text or evil == "{{ 7 * 7 }}"
        assert "49 is damaged" not in answer.text


@pytest.mark.parametrize("name", [HEADER, 'a";filename="evil.html', "é\u2028.txt"])
def test_no_file_name_becomes_a_header(client, house, restorable, name):
    request_id = request_of(ask(client, restorable))
    folder = house.settings.delivery_root / "uid___A001_X1_X1__abcd"
    (folder / "folder" / name.replace("/", "")).mkdir(parents=True)
    (folder / name.replace("/", "")).write_text("content")
    expires_at = datetime.now(timezone.utc) + timedelta(days=1)
    house.catalogue.record_delivery(
        request_id, destination="", path=str(folder), size_bytes=1, files=1, sha256="", expires_at=expires_at
    )
    for below in ("", "folder/"):
        answer = client.get(f"/requests/{request_id}/files/{below}{quote(name.replace('/', ''))}")
        assert "x-evil" not in answer.headers
        if answer.status_code == 404:  # no path of ours holds line ends
            assert "\n" in name
            continue
        assert answer.status_code == 200
        disposition = answer.headers["content-disposition"]
        assert disposition.isprintable()
        assert "evil.html" not in disposition.replace("%22%3Bfilename%3D%22evil.html", "")


@pytest.mark.parametrize("field", ["casa_version", "destination", "email"])
def test_no_field_of_the_form_begins_a_line(client, house, restorable, field):
    answer = ask(client, restorable, **{field: "/x\nX-Evil: 1"})
    assert answer.status_code == 422
    assert "x-evil" not in answer.headers
    assert house.catalogue.find().total == 0


@pytest.mark.parametrize("field", ["project", "source", "sched_block"])
@pytest.mark.parametrize("evil", ["x' OR '1'='1", "x'; DROP TABLE ASA_SCIENCE; --", 'x" OR 1=1', "%", "_"])
def test_no_search_becomes_sql(client, field, evil):
    everything = client.get("/").text
    answer = client.get("/", params={field: evil})
    assert answer.status_code in (200, 422)
    assert "uid___A001_X1000" not in answer.text
    assert client.get("/").text == everything
