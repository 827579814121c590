"""The archive page in a real browser, in a live Airflow with real log-ins and real CASA."""

from __future__ import annotations

import copy
import hashlib
import io
import tarfile
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from alma_restore.catalogue.states import DELIVERED
from alma_restore.demo.archive import DEMO_MOUSS
from alma_restore.uid import Uid

RESTORE_LIMIT_MS = 240_000

RESTORABLE = [each.uid for each in DEMO_MOUSS if each.restorable]
REFUSED = {each.uid: each.refusal_code for each in DEMO_MOUSS if not each.restorable}

FIRST, SECOND, THIRD = RESTORABLE[:3]


def search(page, **fields):
    for label, text in fields.items():
        page.get_by_label(label.replace("_", " "), exact=True).fill(text)
    page.get_by_role("button", name="Search").click()


def row_of(page, mous_uid):
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=mous_uid, exact=True))


def cals_of(page, mous_uid):
    return row_of(page, mous_uid).locator("td").last


def request_id_of(page):
    return urlsplit(page.url).path.rsplit("/", 1)[1]


def request_restore(page, mous_uid, **fields):
    """From the search page to the request's page; its id."""
    page.goto("/mous/")
    page.get_by_role("button", name=f"Restore {mous_uid}").click()
    for label, text in fields.items():
        page.get_by_label(label.replace("_", "-")).fill(text)
    page.get_by_role("button", name="Restore", exact=True).click()
    page.wait_for_url("**/mous/requests/*")
    return request_id_of(page)


@pytest.fixture(scope="session")
def restored(live, chromium):
    """A restore that one window asked for and watched to its end: the id of its request."""
    context = chromium.new_context(base_url=live.url)
    page = context.new_page()
    page.goto("/mous/")
    page.get_by_label("Username").fill("requester")
    page.get_by_label("Password").fill(live.passwords["requester"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/mous/")
    request_id = request_restore(page, FIRST, E_mail="ada@example.org")
    expect(page.get_by_role("heading", level=1)).to_contain_text("restoring", timeout=RESTORE_LIMIT_MS)
    expect(page.get_by_text("3 of 3")).to_be_visible(timeout=RESTORE_LIMIT_MS)
    expect(page.locator("[data-log]")).to_contain_text("applycal", timeout=RESTORE_LIMIT_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("restored", timeout=RESTORE_LIMIT_MS)
    context.close()
    return request_id


def test_nobody_sees_anything_before_logging_in(browse, live):
    page = browse()
    page.goto("/mous/")
    assert "/auth/login" in page.url
    for path in ("/mous/api/requests/x", "/mous/requests/x/download", "/mous/static/page.css", "/mous/openapi.json"):
        answer = httpx.get(live.url + path)
        assert answer.status_code == 401, path
    assert httpx.post(f"{live.url}/mous/api/events", json={}).status_code == 401


def test_a_wrong_password_does_not_help(browse):
    page = browse()
    page.goto("/mous/")
    page.get_by_label("Username").fill("requester")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    page.goto("/mous/")
    assert "/auth/login" in page.url


def test_the_page_stands_in_airflows_navigation(logged_in):
    page = logged_in("requester")
    page.goto("/")
    page.get_by_role("link", name="Restores", exact=True).click()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("link", name=FIRST)).to_be_visible()
    expect(frame.get_by_role("row")).to_have_count(1 + len(DEMO_MOUSS))


def test_searching_narrows_and_tells_why_not(logged_in):
    page = logged_in("viewer")
    for mous_uid in REFUSED:
        expect(cals_of(page, mous_uid)).not_to_have_text("")
    manual = next(uid for uid, code in REFUSED.items() if code == "manual_calibration")
    search(page, MOUS_or_EB=manual)
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(cals_of(page, manual)).to_have_text("manual calibration")
    row_of(page, manual).get_by_role("link").click()
    expect(page.get_by_text("It was calibrated by hand")).to_be_visible()
    page.get_by_role("link", name="Archive", exact=True).click()
    search(page, MOUS_or_EB="", Project="2017.1.00370.S")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.get_by_role("combobox").select_option("can be restored")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(len(RESTORABLE))


def test_a_viewer_sees_no_button_and_cannot_ask(logged_in, live):
    page = logged_in("viewer")
    expect(page.get_by_role("button", name="Restore")).to_have_count(0)
    expect(page.get_by_text("may look, not request")).to_be_visible()
    answer = page.request.post(f"/mous/{Uid(FIRST).sanitised}/restore", form={"token": "x"})
    assert answer.status == 403
    event = {"type": "x"}
    token = {"Authorization": f"Bearer {live.token('viewer')}"}
    assert httpx.post(f"{live.url}/mous/api/events", json=event, headers=token).status_code == 403


def test_a_restore_is_watched_to_its_end(restored, live):
    record = live.catalogue.get(restored)
    assert record.state in DELIVERED
    assert record.email == "ada@example.org"
    assert record.requested_by == "requester"
    assert record.origin == "page"


def test_a_finished_restore_is_downloaded_whole(restored, logged_in, live):
    page = logged_in("viewer", path=f"/mous/requests/{restored}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download all as tar").click()
    content = download.value.path().read_bytes()
    delivery = live.catalogue.delivery(restored)
    expect(page.get_by_text(f"{delivery.expires_at:%Y-%m-%d}")).to_be_visible()
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        (folder,) = {name.split("/")[0] for name in tar.getnames()}
        assert download.value.suggested_filename == f"{folder}.tar"
        sums = tar.extractfile(f"{folder}/SHA256SUMS").read()
        assert hashlib.sha256(sums).hexdigest() == delivery.sha256
        for line in sums.decode().splitlines():
            digest, name = line.split("  ", 1)
            assert hashlib.sha256(tar.extractfile(f"{folder}/{name}").read()).hexdigest() == digest, name
    outside = page.request.get(f"/mous/requests/{restored}/files/..%2f..%2fcatalogue.db")
    assert outside.status == 404


def test_what_was_restored_offers_no_second_restore(restored, logged_in):
    page = logged_in("requester")
    expect(cals_of(page, FIRST)).to_contain_text("restored")
    expect(cals_of(page, FIRST).get_by_role("button")).to_have_count(0)
    cals_of(page, FIRST).get_by_role("link", name="restored").click()
    assert request_id_of(page) == restored


def test_a_second_click_joins_a_cancelled_one_is_asked_for_again(restored, logged_in, live):
    page, other = logged_in("requester"), logged_in("admin")
    other.goto(f"/mous/{Uid(SECOND).sanitised}")
    request_id = request_restore(page, SECOND)
    other.get_by_role("button", name="Restore", exact=True).click()
    other.wait_for_url("**/mous/requests/*")
    assert request_id_of(other) == request_id
    assert live.catalogue.find(uid=Uid(SECOND)).total == 1
    expect(other.get_by_role("heading", level=1)).to_contain_text("restoring", timeout=60_000)
    expect(other.locator("[data-text=estimate]")).to_contain_text("to go")
    other.get_by_text("Cancel…").click()
    other.get_by_role("button", name="Cancel this restore").click()
    expect(other.get_by_role("heading", level=1)).to_contain_text("cancelled")
    expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")  # the other window sees it by itself
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("restored", timeout=RESTORE_LIMIT_MS)
    assert request_id_of(page) == request_id
    assert live.catalogue.get(request_id).attempt == 2


def test_the_link_to_airflow_leaves_the_frame(restored, logged_in, live):
    page = logged_in("requester")
    page.goto("/plugin/mous-restores")
    frame = page.frame_locator("iframe")
    frame.get_by_role("link", name="restored").first.click()
    frame.get_by_role("link", name="the run and its logs").click()
    page.wait_for_url("**/dags/restore_mous/runs/**")
    expect(page.locator("iframe")).to_have_count(0)


def test_an_event_restores_once(restored, live):
    event = {
        "eventName": "runAlmaBasicRestoreWorkflow",
        "type": "edu.nrao.archive.workflow.messaging.commands.StartWorkflow",
        "additionalPaths": [],
        "metadata": {
            "workflowName": "AlmaOusRestoreWorkflow",
            "processingSite": "NAASC",
            "deliveryFormat": "CMS",
            "telescope": "ALMA",
            "fileSetIds": [],
            "ousStatusId": next(iter(REFUSED)),
            "cliCorrId": "f1a4dd4a-73ae-4aa7-ac30-9397d31dadab",
        },
    }
    headers = {"Authorization": f"Bearer {live.token('requester')}"}
    answers = [httpx.post(f"{live.url}/mous/api/events", json=event, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["request_id"] == answers[1].json()["request_id"]
    wrong = copy.deepcopy(event)
    wrong["metadata"]["telescope"] = "EVLA"
    answer = httpx.post(f"{live.url}/mous/api/events", json=wrong, headers=headers)
    assert answer.status_code == 422
    assert "EVLA" in answer.json()["detail"]


def test_it_works_without_a_mouse(restored, logged_in):
    page = logged_in("requester")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("MOUS or EB")).to_be_focused()
    page.keyboard.type(FIRST)
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "restored":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/mous/requests/*")


def test_a_part_of_the_data_is_asked_for_without_a_mouse(logged_in, live):
    """What is wrong is told beside its field, and what was typed is kept; in a narrow and dark window, too."""
    before = live.catalogue.find().total
    page = logged_in(
        "requester", f"/mous/{Uid(THIRD).sanitised}", color_scheme="dark", viewport={"width": 360, "height": 800}
    )
    page.locator("summary", has_text="Only the science targets").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("only the science")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Spectral windows")).to_be_focused()
    page.keyboard.type("all of them")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Not requested.")
    expect(page.get_by_text("Give numbers of spectral windows")).to_be_visible()
    expect(page.get_by_label("Spectral windows")).to_have_value("all of them")
    expect(page.locator("[name=split_intent]")).to_have_value("TARGET")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(LEAST_CONTRAST) >= 4.5
    assert live.catalogue.find().total == before


@pytest.mark.parametrize(("scheme", "width"), [("light", 1440), ("light", 360), ("dark", 1440), ("dark", 800)])
def test_it_fits_narrow_windows_and_can_be_read_in_both_schemes(restored, logged_in, scheme, width):
    page = logged_in("requester", color_scheme=scheme, viewport={"width": width, "height": 800})
    for path in ("/mous/", f"/mous/requests/{restored}", "/mous/requests", f"/mous/{Uid(THIRD).sanitised}"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate(LEAST_CONTRAST) >= 4.5, path


LEAST_CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = channels(getComputedStyle(each).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = 21;
  for (const element of document.querySelectorAll("body *")) {
    const speaks = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!speaks || !element.checkVisibility() || element.closest(".unseen")) continue;
    const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
    least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
  }
  return least;
}"""
