"""Every line of a log tells which restore it is about, and nothing from outside makes a line of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog

from alma_restore import log_fields

PROGRAM = """
import logging, sys
from alma_restore import log_fields
log_fields.to_standard_error(as_json=sys.argv[1] == "json")
log = logging.getLogger("alma_restore.events")
log.info("Listening.")
with log_fields.bound("id-1", "uid://A001/X1/X2", "accepted"):
    log.info("%s asks.", "Eve\\n2026-01-01 level=info event=forged\\r\\x1b[31m\\u2028")
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception("It fails.")
log.info("Done.")
"""


def lines_of(form):
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.isascii()
    lines = done.stderr.split("\n")
    assert lines.pop() == ""
    return lines


def test_a_program_of_ours_logs_one_line_an_event_with_its_fields():
    listening, asks, fails, done = map(json.loads, lines_of("json"))
    about = {"request_id": "id-1", "mous_uid": "uid://A001/X1/X2", "stage": "accepted"}
    assert about.items() <= asks.items()
    assert about.items() <= fails.items()
    assert not about.keys() & (listening.keys() | done.keys())
    assert asks["event"].startswith("Eve")
    assert "ZeroDivisionError" in fails["exception"]


def test_what_comes_from_outside_stays_on_its_line():
    listening, asks, fails, done = lines_of("text")
    assert all(line.startswith("timestamp=") for line in (listening, asks, fails, done))
    assert 'event="Eve' in asks
    assert "request_id=id-1 " in asks
    assert not any(char in asks for char in "\r\x1b\u2028")


@pytest.fixture
def no_fields():
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


def test_threads_write_about_the_same_restore(no_fields):
    with ThreadPoolExecutor(4) as pool:
        log_fields.bind("id-2", None, "fetch_products")
        tell = log_fields.in_thread(lambda _: structlog.contextvars.get_contextvars())
        told = list(pool.map(tell, range(8)))
    assert told == [{"request_id": "id-2", "mous_uid": "", "stage": "fetch_products"}] * 8


def test_fields_of_a_block_end_with_it(no_fields):
    with log_fields.bound("id-3", "uid://A001/X1/X2", "deliver"):
        assert structlog.contextvars.get_contextvars()["request_id"] == "id-3"
    assert structlog.contextvars.get_contextvars() == {}
