"""An api-server without log-in starts on loopback only, and never in production."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from alma_restore.errors import Misconfigured
from alma_restore.settings import settings
from alma_restore.web import without_log_in

SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
PLUGIN = Path(__file__).parents[2] / "plugins" / "alma_restore_plugin.py"


@pytest.fixture
def started(monkeypatch):
    def started(host="", *arguments, all_admins=True, manager=SIMPLE, production=False):
        monkeypatch.setenv("ALMA_RESTORE_PRODUCTION", str(production))
        settings.cache_clear()
        monkeypatch.setenv("AIRFLOW__API__HOST", host)
        monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
        monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", str(all_admins))
        monkeypatch.setattr(sys, "argv", ["airflow", "api-server", "--port", "1", *arguments])
        without_log_in.check()

    yield started
    settings.cache_clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_a_laptop_needs_no_log_in(started, host):
    started(host)
    started("0.0.0.0", "--host", host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "archive.example.org", ""])
def test_what_others_reach_does_not_start_without_log_in(started, host):
    for where in ([host], ["127.0.0.1", "--host", host], ["127.0.0.1", f"-H{host}"] if host else [host]):
        with pytest.raises(Misconfigured, match="would be its administrator"):
            started(*where)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", ""])
def test_in_production_nothing_starts_without_log_in(started, host):
    with pytest.raises(Misconfigured, match=r"its administrator, and it restores for astronomers \(production = true"):
        started(host, production=True)


@pytest.mark.parametrize("production", [False, True])
def test_with_log_in_it_starts_anywhere(started, production):
    started("0.0.0.0", all_admins=False, production=production)
    started("0.0.0.0", manager=FAB, production=production)


def test_the_api_server_ends_with_one_sentence(started, monkeypatch):
    with pytest.raises(Misconfigured):
        started("0.0.0.0")
    plugin = runpy.run_path(str(PLUGIN))["AlmaRestorePlugin"]()
    with pytest.raises(SystemExit, match=r"^The api-server does not start. Everybody who reaches .* Bind it to 127"):
        _ = plugin.fastapi_apps
