"""Airflow's roles, in both of its auth managers, and what each may do on the page."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.api_fastapi import app as airflow_app
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api import security
from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride as FabRoles
from fastapi import HTTPException, Request

from alma_restore.web.access import visitor_of


def simple(role):
    return SimpleAuthManager(), SimpleAuthManagerUser(username="ada", role=role.upper())


def fab(role):
    """A user with what FAB gives to a role when it makes its tables, and to those below it."""
    roles = ["Viewer", "User", "Op", "Admin"]
    below = roles[: roles.index(role) + 1] if role in roles else []
    perms = {perm for each in FabRoles.ROLE_CONFIGS if each["role"] in below for perm in each["perms"]}
    return FabAuthManager(), SimpleNamespace(perms=perms, get_id=lambda: "1", get_name=lambda: "ada")


@pytest.fixture(params=[simple, fab], ids=["SimpleAuthManager", "FabAuthManager"])
def visitor_with(request, monkeypatch):
    def visitor_with(role):
        manager, user = request.param(role)
        for module in (airflow_app, security):
            monkeypatch.setattr(module, "get_auth_manager", lambda: manager)
        monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)
        return visitor_of(Request({"type": "http", "path_params": {}, "query_string": b""}), user)

    return visitor_with


@pytest.mark.parametrize(
    ("role", "may_request", "cancels_its_own", "cancels_others"),
    [
        ("Viewer", False, False, False),
        ("User", True, True, False),
        ("Op", True, True, True),
        ("Admin", True, True, True),
    ],
)
def test_each_role_may_do_its_part(visitor_with, role, may_request, cancels_its_own, cancels_others):
    who = visitor_with(role)
    assert who.may_request == may_request
    assert who.may_cancel("ada") == cancels_its_own
    assert who.may_cancel("somebody else") == cancels_others


def test_who_has_no_role_sees_nothing(monkeypatch):
    manager, user = fab("Public")
    monkeypatch.setattr(security, "get_auth_manager", lambda: manager)
    monkeypatch.setattr(security.DagModel, "get_team_name", lambda _: None)
    with pytest.raises(HTTPException, match="You may not see restores"):
        visitor_of(Request({"type": "http", "path_params": {}, "query_string": b""}), user)
