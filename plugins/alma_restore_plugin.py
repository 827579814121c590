"""Puts the archive page into Airflow: an app under /mous, and an entry in the navigation that shows it."""

from __future__ import annotations

from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin


class AlmaRestorePlugin(AirflowPlugin):
    """Registers the page; the api-server alone asks for the app, so that no other component imports it."""

    name = "alma_restore"
    external_views = [  # noqa: RUF012
        {"name": "Restores", "href": "/mous/", "destination": "nav", "url_route": "mous-restores"}
    ]

    @property
    def fastapi_apps(self) -> list[Any]:
        from alma_restore.errors import Misconfigured
        from alma_restore.web import without_log_in
        from alma_restore.web.app import create_app

        try:
            without_log_in.check()
        except Misconfigured as error:
            raise SystemExit(f"The api-server does not start. {error}") from error
        return [{"app": create_app(), "url_prefix": "/mous", "name": "MOUS restores"}]
