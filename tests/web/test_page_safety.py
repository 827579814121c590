"""Every route asks who is there, every answer carries the headers, and the plugin brings all of it to Airflow."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fastapi import HTTPException
from fastapi.routing import APIRoute
from starlette.routing import Route

from alma_restore.errors import NotAvailable
from alma_restore.web import access, rendering
from alma_restore.web.answers import Answers, SlowArchive
from alma_restore.web.app import HEADERS, create_app

CHECKOUT = Path(__file__).parents[2]


def routes():
    found = [route for route in create_app().routes if isinstance(route, Route | APIRoute)]
    return [(method, route.path) for route in found for method in sorted(route.methods - {"HEAD"})]


def test_there_are_no_routes_but_those_that_ask():
    assert len(routes()) == 14


@pytest.mark.parametrize(("method", "path"), routes(), ids=str)
def test_a_route_answers_nobody_whom_airflow_does_not_know(app, client, house, method, path):
    def nobody():
        raise HTTPException(401, "Not authenticated")

    app.dependency_overrides[access.visitor] = nobody
    answer = client.request(method, re.sub(r"\{[^}]*\}", "x", path), headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert house.catalogue.find().total == 0


@pytest.mark.parametrize("path", ["/", "/requests", "/requests/nothing", "/x", "/static/page.css", "/static/other"])
def test_every_answer_carries_the_headers(client, path):
    answer = client.get(path)
    for name, value in HEADERS.items():
        if name != "Cache-Control" or not path.endswith(".css"):
            assert answer.headers[name] == value


@pytest.mark.parametrize("name", list(rendering.STATIC))
def test_style_and_script_ask_nobody_outside(client, name):
    answer = client.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(rendering.STATIC[name])
    assert re.findall(r"(https?:)?//\w+\.\w+", answer.text) == []


def test_pages_hold_nothing_that_the_policy_forbids(client, restorable):
    for path in ("/", "/requests", f"/{restorable.sanitised}"):
        text = client.get(path).text
        assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:", text) == []
        assert re.findall(r'(?:src|href)="(?!/|\?)[^"]*"', text.replace('href="#main"', "")) == []


def test_the_plugin_folder_holds_one_module_that_registers_the_page(tmp_path):
    """In a process of its own, as Airflow loads it."""
    program = f"""
import sys
sys.path.insert(0, {str(CHECKOUT / "plugins")!r})
import alma_restore_plugin as module
assert not any(name.startswith(("fastapi", "alma_restore.web")) for name in sys.modules), "too much is imported at scan"
plugin = module.AlmaRestorePlugin()
(app,) = plugin.fastapi_apps
(view,) = plugin.external_views
assert app["url_prefix"] == "/mous" and view["href"] == "/mous/"
"""
    environment = {"AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert [path.name for path in (CHECKOUT / "plugins").glob("*.py")] == ["alma_restore_plugin.py"]


class TestAnswers:
    def ask(self, answers, key, question):
        return asyncio.run(answers.ask(key, question))

    def test_an_answer_is_remembered_for_a_while(self):
        asked = []
        answers = Answers(keep_s=60)
        for _ in range(3):
            assert self.ask(answers, "key", lambda: asked.append(1) or len(asked)) == 1
        assert self.ask(Answers(keep_s=60), "key", lambda: 7) == 7
        forgetful = Answers(keep_s=0)
        assert [self.ask(forgetful, "key", lambda: asked.append(1) or len(asked)) for _ in range(2)] == [2, 3]

    def test_an_error_is_told_and_not_remembered(self):
        answers = Answers()

        def fails():
            raise NotAvailable("no route")

        with pytest.raises(NotAvailable, match="no route"):
            self.ask(answers, "key", fails)
        assert self.ask(answers, "key", lambda: 1) == 1

    def test_only_so_many_answers_are_remembered(self):
        answers = Answers(remembered=3)
        asked = []
        for number in (1, 2, 3, 4, 5, 5, 1):
            self.ask(answers, number, lambda number=number: asked.append(number))
        assert asked == [1, 2, 3, 4, 5, 1]

    def test_no_more_questions_are_taken_than_can_wait(self):
        release = threading.Event()
        answers = Answers(limit_s=0.01, threads=1, waiting=2)
        asked = []
        for number in range(5):
            with pytest.raises(SlowArchive):
                self.ask(answers, number, lambda number=number: (asked.append(number), release.wait(5)))
        release.set()
        answers._threads.shutdown(wait=True)
        assert asked == [0, 1]
