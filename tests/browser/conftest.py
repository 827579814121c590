"""One live Airflow and one Chromium for all browser tests."""

from __future__ import annotations

import pytest
from live_airflow import ARGUMENTS, CHROMIUM, live_airflow
from playwright.sync_api import expect, sync_playwright


@pytest.fixture(scope="session")
def live(demo_archive, casa_python, restore_home, tmp_path_factory):
    """A live Airflow with real log-ins; the demo archive is behind it and CASA in it."""
    home = tmp_path_factory.mktemp("live") / "home"
    with live_airflow(home, demo_archive, restore_home / "cache", casa_python) as live:
        yield live


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def browse(live, chromium):
    """Opens a window that nobody has logged in to yet; what its pages complain of fails the test."""
    expect.set_options(timeout=20_000)
    contexts, complaints = [], []

    def browse(**options):
        context = chromium.new_context(base_url=live.url, **{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        context.on("request", lambda request: _note_foreign(request, live.url, complaints))
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda message: _note_policy(message, complaints))
        return page

    yield browse
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def sessions():
    """The cookies of who has logged in already."""
    return {}


@pytest.fixture
def logged_in(live, browse, sessions):
    """Opens a window in which a user is logged in; the first time through Airflow's own page."""

    def logged_in(user, path="/mous/", **options):
        page = browse(**options, storage_state=sessions.get(user))
        page.goto(path)
        if user not in sessions:
            page.get_by_label("Username").fill(user)
            page.get_by_label("Password").fill(live.passwords[user])
            page.keyboard.press("Enter")
            page.wait_for_url(f"**{path}")
            sessions[user] = page.context.storage_state()
        return page

    return logged_in


def _note_foreign(request, home, complaints):
    if not request.url.startswith((home, "data:", "blob:")):
        complaints.append(f"asked outside: {request.url}")


def _note_policy(message, complaints):
    if message.type == "error" and "Content Security Policy" in message.text:
        complaints.append(message.text)
