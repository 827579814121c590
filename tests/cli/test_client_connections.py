"""Connections of the environment mean here what they mean to Airflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alma_restore.archive.ngas import NgasNode
from alma_restore.client import connections
from alma_restore.client.connections import Connection
from alma_restore.errors import Misconfigured, NotAvailable
from alma_restore.settings import NgasSettings, Settings

TEXTS = [
    "oracle://reader:s3cr%40t%2F@db.example.org:1521/ALMA",
    "oracle://reader@db.example.org?service_name=ALMA&wallet_location=%2Fetc%2Fwallet",
    "alma-embedded://%2Fdata%2FArchive%2Fmetadata.sqlite",
    "http://ngas-1.example.org:7777",
    "http://Ngas-1,ngas-2:7777",
    "amqp://ada:pw@mq/archive",
    "smtp://mail:25?__extra__=%7B%22disable_ssl%22%3A+true%7D",
    json.dumps({"conn_type": "oracle", "host": "db", "port": 1521, "login": "a", "password": "b", "schema": "S"}),
    json.dumps({"conn_type": "smtp", "host": "mail", "extra": {"disable_ssl": True}}),
    json.dumps({"conn_type": "smtp", "host": "mail", "port": "25", "extra": '{"disable_ssl": true}'}),
    json.dumps({"conn_type": "alma_embedded", "host": "/data/metadata.sqlite", "login": None}),
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_connection_is_read_as_airflow_reads_it(text):
    from airflow.sdk import Connection as AirflowConnection

    read = AirflowConnection.from_json if text.startswith("{") else AirflowConnection.from_uri
    theirs = read(text, conn_id="alma_metadata")
    ours = connections.needed("alma_metadata", {"AIRFLOW_CONN_ALMA_METADATA": text})
    assert ours == Connection(
        theirs.conn_type,
        theirs.host or "",
        theirs.port,
        theirs.login or "",
        theirs.password or "",
        theirs.schema or "",
        theirs.extra_dejson,
    )
    assert "s3cr" not in repr(ours)


def test_a_connection_that_is_not_there_is_named_with_what_to_do():
    assert connections.connection("alma_ngas", {}) is None
    with pytest.raises(Misconfigured, match="AIRFLOW_CONN_ALMA_NGAS is not set"):
        connections.needed("alma_ngas", {})


@pytest.mark.parametrize("text", ["nonsense", "{broken", "[]", "http://host:port", '{"extra": 7}'])
def test_a_connection_that_cannot_be_read_is_named(text):
    with pytest.raises(Misconfigured, match="AIRFLOW_CONN_ALMA_NGAS cannot be read"):
        connections.needed("alma_ngas", {"AIRFLOW_CONN_ALMA_NGAS": text})


@pytest.mark.parametrize(
    ("found", "dsn"),
    [
        (Connection("oracle", "db", 1522, schema="ALMA"), "db:1522/ALMA"),
        (Connection("oracle", "db", None, extra={"service_name": "ALMA"}), "db:1521/ALMA"),
        (Connection("oracle", "alma_high"), "alma_high"),
        (Connection("oracle", "db", 1522), "db:1522"),
        (Connection("oracle", extra={"dsn": "(DESCRIPTION=...)"}), "(DESCRIPTION=...)"),
        (
            Connection("oracle", "db", extra={"sid": "ALMA"}),
            "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db)(PORT=1521))(CONNECT_DATA=(SID=ALMA)))",
        ),
    ],
)
def test_the_oracle_database_is_where_airflows_hook_finds_it(found, dsn):
    assert connections.oracle_dsn(found) == dsn


def test_the_metadata_database_is_embedded_or_oracle(tmp_path):
    from alma_restore.archive import embedded
    from alma_restore.uid import Uid

    embedded.create(tmp_path / "metadata.sqlite").close()
    here = {
        "AIRFLOW_CONN_ALMA_METADATA": json.dumps({"conn_type": "alma_embedded", "host": f"{tmp_path}/metadata.sqlite"})
    }
    assert connections.metadata(here).product_files(Uid("uid://A001/X1/X1")) == ()
    assert connections.asdm_folder(here) == tmp_path / "asdm"
    nowhere = {"AIRFLOW_CONN_ALMA_METADATA": "oracle://reader:secret@127.0.0.1:1/ALMA"}
    with pytest.raises(NotAvailable):
        connections.metadata(nowhere).product_files(Uid("uid://A001/X1/X1"))
    assert connections.asdm_folder(nowhere) is None
    with pytest.raises(Misconfigured, match="of kind 'mysql'"):
        connections.metadata({"AIRFLOW_CONN_ALMA_METADATA": "mysql://db"})


def test_a_password_that_makes_a_uri_unreadable_is_not_told():
    with pytest.raises(Misconfigured, match="percent-encoded") as told:
        connections.needed("alma_events", {"AIRFLOW_CONN_ALMA_EVENTS": "amqp://restore:Tr0ub4dor#3@broker:5672"})
    assert "Tr0ub4dor" not in str(told.value)


def test_ngas_nodes_come_from_the_connection_or_else_from_the_settings(tmp_path):
    here = Settings(home=Path(tmp_path), ngas=NgasSettings(host="a b", port=7000))
    given = {"AIRFLOW_CONN_ALMA_NGAS": "http://ada:pw@c,d:7777"}
    assert connections.ngas_nodes(here, given) == [NgasNode("c", 7777, "ada", "pw"), NgasNode("d", 7777, "ada", "pw")]
    assert connections.ngas_nodes(here, {}) == [NgasNode("a", 7000), NgasNode("b", 7000)]
    assert connections.ngas_nodes(Settings(home=Path(tmp_path)), {}) == []
