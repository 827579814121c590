"""Airflow hooks of the archive: the embedded one's metadata database looks like the observatory's."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from airflow.providers.sqlite.hooks.sqlite import SqliteHook

from alma_restore.archive import embedded


class EmbeddedArchiveHook(SqliteHook):
    """Connects to the `metadata.sqlite` of an embedded archive, attached `AS ALMA`.

    The connection's host is the path of the file. Every query written for the observatory's Oracle runs unchanged.
    """

    conn_name_attr = "alma_metadata_conn_id"
    default_conn_name = "alma_metadata"
    conn_type = "alma_embedded"
    hook_name = "ALMA embedded archive"

    def get_conn(self) -> sqlite3.Connection:
        connection = self.get_connection(self.get_conn_id())
        return embedded.connect(Path(connection.host or ""))

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        return {
            "hidden_fields": ["schema", "login", "password", "port", "extra"],
            "relabeling": {"host": "Path of metadata.sqlite"},
        }
