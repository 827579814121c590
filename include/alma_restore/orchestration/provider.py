"""Tells Airflow what this package adds to it: the connection type of an embedded archive."""

from __future__ import annotations

from typing import Any

from alma_restore import __version__


def provider_info() -> dict[str, Any]:
    """The provider's metadata, as Airflow's `apache_airflow_provider` entry point wants it."""
    return {
        "package-name": "alma-restore",
        "name": "ALMA restore",
        "description": "Restores calibrated ALMA data.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "alma_embedded",
                "hook-class-name": "alma_restore.orchestration.hooks.EmbeddedArchiveHook",
            }
        ],
    }
