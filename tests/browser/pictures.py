"""Takes the pictures of the archive page and of a report for the README: `python tests/browser/pictures.py`.

On the live Airflow of the browser's tests, with real CASA; on a machine that does nothing else, for the times in them.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from live_airflow import ARGUMENTS, CHROMIUM, LiveAirflow, live_airflow
from playwright.sync_api import Browser, Page, expect, sync_playwright

from alma_restore.uid import Uid

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WATCHED, RESTORED, OFFERED = "uid://A001/X12d1/X23e", "uid://A001/X1284/X266", "uid://A001/X12cc/X4a"
LIMIT_MS = 600_000


def main() -> None:
    home = Path(os.environ["ALMA_RESTORE_HOME"]).absolute()
    casa_python = Path(os.environ["ALMA_RESTORE_CASA_PYTHON"])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        archive = Path(sys.argv[1]) if sys.argv[1:] else home / "demo" / "archive"
        with live_airflow(Path(folder) / "home", archive, home / "cache", casa_python) as live:
            take(browser, live)
        browser.close()


def take(browser: Browser, live: LiveAirflow) -> None:
    page = logged_in(browser, live)
    ask(page, RESTORED)
    expect(page.get_by_role("heading", level=1)).to_contain_text("restored", timeout=LIMIT_MS)
    ask(page, WATCHED)
    request_id = page.url.rpartition("/")[2]
    airflow = page.context.new_page()
    airflow.goto("/plugin/mous-restores")
    frame = airflow.frame_locator("iframe")
    frame.get_by_role("link", name="restoring").click(timeout=LIMIT_MS)
    expect(frame.locator("[data-log]")).to_contain_text("PHASE", timeout=LIMIT_MS)
    picture(airflow, "request-page", height=860)
    frame.get_by_role("link", name="Archive", exact=True).click()
    expect(frame.get_by_role("button", name=f"Restore {OFFERED}")).to_be_visible()
    picture(airflow, "archive-page", height=600)
    expect(page.get_by_role("heading", level=1)).to_contain_text("restored", timeout=LIMIT_MS)
    page.set_viewport_size({"width": 1280, "height": 1180})
    page.goto(f"/mous/requests/{request_id}/report")
    picture(page, "report", width=1280, height=1180)
    airflow.evaluate("localStorage.setItem('default_dag_view', JSON.stringify('graph'))")
    airflow.goto(f"/dags/restore_mous/runs/{live.catalogue.get(request_id).run_id}")
    expect(airflow.locator(".react-flow__node", has_text="close_request")).to_be_visible(timeout=LIMIT_MS)
    picture(airflow, "restore-dag", width=1500, height=760)


def logged_in(browser: Browser, live: LiveAirflow) -> Page:
    page = browser.new_context(base_url=live.url, viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(LIMIT_MS)
    page.goto("/mous/")
    page.get_by_label("Username").fill("requester")
    page.get_by_label("Password").fill(live.passwords["requester"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/mous/")
    return page


def ask(page: Page, mous_uid: str) -> None:
    page.goto(f"/mous/{Uid(mous_uid).sanitised}")
    page.get_by_label("E-mail").fill("astronomer@example.org")
    page.get_by_role("button", name="Restore", exact=True).click()
    page.wait_for_url("**/mous/requests/*")


def picture(page: Page, name: str, height: int, width: int = 1440) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(700)  # what moves on the page comes to rest
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
