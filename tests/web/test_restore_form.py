"""Asking for a restore: once stored, once run; who may; what is refused; and forms that are not ours."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from page_tools import OTHER, REQUESTER, VIEWER, ask, request_of, token_of

from alma_restore.errors import CasaFailed
from alma_restore.request import RestoreRequest
from alma_restore.restore import telling
from alma_restore.web import access
from alma_restore.web import house as houses
from alma_restore.web.asking import ask_or_join


def test_a_restore_is_stored_and_run_and_its_page_shown_at_once(client, house, runs, restorable):
    started = time.monotonic()
    answer = ask(client, restorable, email="ada@example.org")
    assert time.monotonic() - started < 2
    record = house.catalogue.get(request_of(answer))
    assert (record.mous_uid, record.email, record.origin, record.requested_by) == (
        restorable,
        "ada@example.org",
        "page",
        "Ada",
    )
    assert record.fingerprint == house.archive.metadata.calibration(restorable).fingerprint
    assert list(runs.triggered) == [record.run_id]
    conf = runs.triggered[record.run_id]
    assert conf["correlation_id"] == record.correlation_id
    assert RestoreRequest.parse(conf).mous_uid == restorable
    page = client.get(answer.headers["location"])
    assert page.status_code == 200
    assert "waiting" in page.text


def test_a_second_click_joins_the_first(client, house, runs, restorable):
    first = request_of(ask(client, restorable))
    house.catalogue.start_stage(first, "fetch_asdm")
    assert request_of(ask(client, restorable)) == first
    assert len(runs.triggered) == 1
    assert house.catalogue.find().total == 1


def test_two_clicks_at_the_same_moment_are_one_request(client, house, runs, restorable):
    token = token_of(client, f"/{restorable.sanitised}")
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: client.post(f"/{restorable.sanitised}/restore", data={"token": token}), range(8))
        )
    assert len({request_of(answer) for answer in answers}) == 1
    assert len(runs.triggered) == 1


def test_other_options_are_another_request(client, house, restorable):
    first = request_of(ask(client, restorable))
    assert request_of(ask(client, restorable, destination=str(house.settings.delivery_root / "mine"))) != first


def test_a_click_joins_what_detection_asked_for(client, house, runs, restorable):
    fingerprint = house.archive.metadata.calibration(restorable).fingerprint
    detected = RestoreRequest(mous_uid=restorable, fingerprint=fingerprint, origin="detection", correlation_id="d1")
    record = house.catalogue.open_request(detected, "mous__d1")
    assert request_of(ask(client, restorable)) == record.id
    assert runs.triggered == {}


def test_what_has_ended_can_be_asked_for_again(client, house, restorable):
    first = request_of(ask(client, restorable))
    house.catalogue.cancel(first)
    second = request_of(ask(client, restorable))
    house.catalogue.cancel(second)
    assert len({first, second, request_of(ask(client, restorable))}) == 3


@pytest.mark.parametrize("end", ["failed", "expired"])
def test_a_new_wish_never_leads_to_an_old_end(client, house, runs, restorable, end):
    """However many requests of an MOUS have ended: trying one again makes their number fall."""
    whole = request_of(ask(client, restorable))
    house.catalogue.fail(whole, CasaFailed("No."), "run_casa")
    split = request_of(ask(client, restorable, split_intent="TARGET"))
    if end == "failed":
        house.catalogue.fail(split, CasaFailed("No."), "run_casa")
    else:
        deliver(house, split, expires_in=timedelta(hours=-1))
        assert house.catalogue.expire(split, datetime.now(timezone.utc))
    token = token_of(client, f"/{restorable.sanitised}")
    client.post(f"/requests/{whole}/retry", data={"token": token})
    anew = request_of(ask(client, restorable, split_intent="TARGET"))
    assert anew not in (whole, split)
    assert house.catalogue.get(anew).state == "accepted"


def deliver(house, request_id, expires_in):
    """Deliver a request without Airflow; the folder, which is kept so long from now."""
    folder = house.settings.delivery_root / request_id
    folder.mkdir(parents=True)
    house.catalogue.start_stage(request_id, "deliver")
    facts = {"path": str(folder), "size_bytes": 1, "files": 1, "sha256": ""}
    expires_at = datetime.now(timezone.utc) + expires_in
    house.catalogue.record_delivery(request_id, destination="", expires_at=expires_at, **facts)
    house.catalogue.finish(request_id)
    return folder


def test_a_delivery_that_somebody_joins_stays_as_long_as_a_new_one(client, house, runs, restorable):
    first = request_of(ask(client, restorable))
    deliver(house, first, expires_in=timedelta(hours=1))
    house.catalogue.mark_warned(first)
    assert request_of(ask(client, restorable, email="bob@example.org")) == first
    delivery = house.catalogue.delivery(first)
    assert delivery.expires_at > datetime.now(timezone.utc) + timedelta(days=house.settings.delivery.keep_days - 1)
    assert delivery.warned_at is None
    assert len(runs.triggered) == 1


def test_a_delivery_whose_time_is_over_is_not_joined(client, house, runs, restorable):
    first = request_of(ask(client, restorable))
    folder = deliver(house, first, expires_in=timedelta(hours=-1))
    assert request_of(ask(client, restorable)) != first
    assert folder.is_dir(), "the nightly clean-up has not been there yet"
    assert len(runs.triggered) == 2


def test_the_last_address_is_filled_in_again(client, restorable, manual):
    ask(client, restorable, email="ada@example.org")
    assert 'value="ada@example.org"' in client.get(f"/{restorable.sanitised}").text


def no_installations(settings):
    return ()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"email": "nobody"}, "email"),
        ({"destination": "/etc"}, "/etc"),
        ({"destination": "relative"}, "relative"),
        ({"casa_version": "1.2.3"}, "1.2.3"),
    ],
)
def test_what_cannot_be_done_is_said_at_once_and_the_form_stays_filled(
    client, house, runs, restorable, fields, told, monkeypatch
):
    monkeypatch.setattr("alma_restore.casa.installations.load", no_installations)
    answer = ask(client, restorable, **fields)
    assert answer.status_code == 422
    assert "Not requested." in answer.text
    assert told in answer.text
    if "casa_version" not in fields:
        assert f'value="{next(iter(fields.values()))}"' in answer.text
    assert house.catalogue.find().total == 0
    assert runs.triggered == {}


def test_a_manual_calibration_is_refused_with_the_whole_reason(client, runs, restorable, manual):
    page = client.get(f"/{manual.sanitised}").text
    assert "calibrated by hand" in page
    assert "Deliver to" not in page
    token = token_of(client, f"/{restorable.sanitised}")
    answer = client.post(f"/{manual.sanitised}/restore", data={"token": token})
    assert answer.status_code == 422
    assert "calibrated by hand" in answer.text
    assert runs.triggered == {}


def test_an_unknown_mous_is_not_found(client):
    assert client.get("/uid___A001_Xdead_X1").status_code == 404
    assert client.get("/nothing").status_code == 404


def test_when_airflow_does_not_start_it_the_request_says_why(client, house, runs, restorable):
    runs.says_no = True
    answer = ask(client, restorable)
    assert answer.status_code == 503
    assert "no such DAG" in answer.text
    (record,) = house.catalogue.find().requests
    assert (record.state, record.reason) == ("failed", "Airflow answered 404: no such DAG.")


class TestAFormIsTakenOnlyFromOurOwnPages:
    @pytest.fixture
    def send(self, client, restorable):
        token = token_of(client, f"/{restorable.sanitised}")

        def send(token=token, **headers):
            path = f"/{restorable.sanitised}/restore"
            return client.post(
                path, data={"token": token}, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )

        return send

    def test_ours_is_taken(self, send):
        assert send(Sec_Fetch_Site="same-origin", Origin="http://testserver").status_code == 303

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ],
        ids=str,
    )
    def test_another_sites_is_refused(self, send, runs, headers):
        assert send(**headers).status_code == 403
        assert runs.triggered == {}

    @pytest.mark.parametrize("token", ["", "x", "1.2", "²." + 64 * "0", "1700000000." + 64 * "0"])
    def test_a_made_up_token_is_refused(self, send, runs, token):
        assert send(token=token).status_code == 403
        assert runs.triggered == {}

    def test_another_visitors_token_is_refused(self, send, runs):
        theirs = access.form_token(VIEWER, "a secret")
        assert send(token=theirs).status_code == 403
        assert runs.triggered == {}

    def test_a_token_grows_old(self, send, monkeypatch):
        token = access.form_token(REQUESTER, "a secret")
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + access.FORM_LIFE_S - 60)
        assert send(token=token).status_code == 303
        monkeypatch.setattr(time, "time", lambda: now + access.FORM_LIFE_S + 60)
        assert send(token=token).status_code == 403


def test_without_permission_nothing_can_be_asked_for(app, client, house, runs, restorable):
    app.dependency_overrides[access.visitor] = lambda: VIEWER
    page = client.get(f"/{restorable.sanitised}")
    assert page.status_code == 200
    assert "Deliver to" not in page.text
    token = access.form_token(VIEWER, "a secret")
    assert client.post(f"/{restorable.sanitised}/restore", data={"token": token}).status_code == 403
    assert runs.triggered == {}
    assert house.catalogue.find().total == 0


WANTED = {
    "split_intent": "TARGET",
    "split_field": "J1924-2914",
    "split_spw": "17, 19",
    "split_chanbin": "4",
    "split_timebin": "30",
    "split_keep_full": "yes",
    "tar": "yes",
}


class TestAPartOfTheData:
    def test_what_is_split_off_and_how_is_asked_for(self, client, house, runs, restorable):
        answer = ask(client, restorable, **WANTED)
        record = house.catalogue.get(request_of(answer))
        (conf,) = runs.triggered.values()
        assert conf["tar"] is True
        assert conf["split"] == {
            "intent": "TARGET",
            "field": "J1924-2914",
            "spw": "17,19",
            "chanbin": 4,
            "timebin": "30s",
            "keep_full": True,
        }
        assert record.asked.split.chanbin == 4
        page = client.get(answer.headers["location"]).text
        assert "only the science targets; fields J1924-2914; spectral windows 17,19; 4 channels into one" in page

    def test_left_folded_nothing_is_split_off(self, client, house, restorable):
        asked = house.catalogue.get(request_of(ask(client, restorable))).asked
        assert (asked.split, asked.tar) == (None, False)

    @pytest.mark.parametrize(
        ("field", "typed", "told"),
        [
            ("split_chanbin", "many", "valid integer"),
            ("split_spw", "all of them", "17,19 or 17~23"),
            ("split_timebin", "0.5", "at least one"),
            ("split_field", "[1]", "name the field"),
            ("split_intent", "MOON", "TARGET"),
        ],
    )
    def test_a_mistake_is_told_beside_its_field_and_all_is_kept(self, client, runs, restorable, field, typed, told):
        answer = ask(client, restorable, **{**WANTED, field: typed})
        assert answer.status_code == 422
        page = answer.text
        assert f'aria-describedby="{field}-mistake"' in page
        sentence = page.partition(f'id="{field}-mistake">')[2].partition("</small>")[0]
        assert told in sentence
        assert 'class="more" open' in page
        for name, text in {**WANTED, field: typed}.items():
            if name not in ("split_intent", "split_keep_full", "tar"):
                assert f'value="{text}"' in page
        assert page.count("checked") == 2
        assert runs.triggered == {}

    def test_more_of_nothing_is_a_mistake(self, client, restorable):
        answer = ask(client, restorable, split_spw="17")
        assert "Choose what is split off" in answer.text.partition('id="split_intent-mistake">')[2]

    def test_mistakes_outside_the_folded_part_leave_it_folded(self, client, restorable):
        page = ask(client, restorable, email="nobody").text
        assert 'id="email-mistake"' in page
        assert 'class="more" open' not in page


class TestWhoAsksForTheSame:
    @pytest.fixture
    def mailed(self, app, house):
        sent = []
        settings = house.settings
        told = replace(house, settings=settings, send_mail=sent.append, pages="https://airflow.example.org/mous")
        app.dependency_overrides[houses.opened_house] = lambda: told
        return sent

    def test_joins_is_on_record_and_told_alone_when_it_ends(self, app, client, house, mailed, restorable):
        first = request_of(ask(client, restorable, email="ada@example.org"))
        app.dependency_overrides[access.visitor] = lambda: OTHER
        assert request_of(ask(client, restorable, email="cyd@example.org")) == first
        assert mailed == []
        page = client.get(f"/requests/{first}").text
        assert "Cyd asked for the same, and joined this request." in page
        assert "ada@example.org" not in page
        house.catalogue.cancel(first, "Cancelled by Ada.")
        telling.tell_end(replace(house, send_mail=mailed.append), house.catalogue.get(first))
        assert [message["To"] for message in mailed] == ["ada@example.org", "cyd@example.org"]
        assert "ada@example.org" not in mailed[1].as_string()

    def test_at_the_same_moment_is_told_as_well(self, house, runs, restorable):
        fingerprint = house.archive.metadata.calibration(restorable).fingerprint

        def asks(name):
            fields = {"mous_uid": restorable, "fingerprint": fingerprint, "origin": "page", "requested_by": name}
            return ask_or_join(house, runs, RestoreRequest.parse({**fields, "email": f"{name}@example.org"}))

        async def both():
            return await asyncio.gather(asks("ada"), asks("bob"))

        one, other = asyncio.run(both())
        assert one.id == other.id
        assert sorted(house.catalogue.addresses(one.id)) == ["ada@example.org", "bob@example.org"]

    def test_joins_what_is_delivered_and_is_told_at_once(self, app, client, house, runs, mailed, restorable):
        first = request_of(ask(client, restorable))
        folder = house.settings.delivery_root / "delivered"
        folder.mkdir(parents=True)
        facts = {"size_bytes": 1, "files": 1, "sha256": "", "expires_at": None}
        house.catalogue.start_stage(first, "deliver")
        house.catalogue.record_delivery(first, destination="", path=str(folder), **facts)
        house.catalogue.finish(first)
        app.dependency_overrides[access.visitor] = lambda: OTHER
        assert request_of(ask(client, restorable, email="cyd@example.org")) == first
        (message,) = mailed
        assert "calibrated data delivered" in message["Subject"]
        assert f"https://airflow.example.org/mous/requests/{first}" in message.as_string()
        folder.rmdir()
        assert request_of(ask(client, restorable)) != first
        assert len(runs.triggered) == 2
