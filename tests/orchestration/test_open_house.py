"""The house is built from Airflow's connections, and where one is missing from the profile."""

from __future__ import annotations

import pytest

from alma_restore.archive.ngas import NgasNode
from alma_restore.errors import Misconfigured
from alma_restore.orchestration.open_house import _ngas_nodes
from alma_restore.settings import NgasSettings


def test_ngas_is_where_the_connection_says_else_where_the_profile_does(airflow_database, monkeypatch):
    of_profile = NgasSettings(host="ngas-1, ngas-2", port=7000)
    monkeypatch.setenv("AIRFLOW_CONN_ALMA_NGAS", "http://ada:secret@ngas-3:7777")
    assert _ngas_nodes(of_profile) == [NgasNode("ngas-3", 7777, "ada", "secret")]
    monkeypatch.delenv("AIRFLOW_CONN_ALMA_NGAS")
    assert _ngas_nodes(of_profile) == [NgasNode("ngas-1", 7000), NgasNode("ngas-2", 7000)]
    with pytest.raises(Misconfigured, match="no connection 'alma_ngas'"):
        _ngas_nodes(NgasSettings())
