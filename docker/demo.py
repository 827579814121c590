"""The one-shot service of the profile `demo`: makes the archive with real CASA, and points this installation at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from alma_restore.casa.casa_home import casa_home
from alma_restore.demo.archive import make_archive

HERE = Path(__file__).parent
DEMO = Path("/srv/alma-restore/demo")
DAGS = ("restore_mous", "detect_calibrations")


def connections() -> dict[str, dict[str, Any]]:
    """Those to the demo's peers, by their names in Airflow."""
    sftp = DEMO / "sftp"
    kind, key, *_ = (sftp / "host.pub").read_text().split()
    return {
        "alma_metadata": {"conn_type": "alma_embedded", "host": str(DEMO / "archive" / "metadata.sqlite")},
        "alma_ngas": {"conn_type": "http", "host": "demo-ngas", "port": 7777},
        "alma_smtp": {
            "conn_type": "smtp",
            "host": "demo-mail",
            "port": 1025,
            "extra": {"disable_ssl": True, "disable_tls": True},
        },
        "demo_sftp": {
            "conn_type": "sftp",
            "host": "demo-sftp",
            "port": 2222,
            "login": "alma",
            "extra": {"key_file": str(sftp / "client"), "host_key": f"{kind} {key}"},
        },
    }


def take_profile() -> None:
    """The demo's settings, unless somebody has written others."""
    profile = Path(os.environ["ALMA_RESTORE_PROFILE"])
    ours = [(HERE / name).read_text() for name in ("profile.toml", "demo-profile.toml")]
    if profile.read_text() not in ours:
        raise SystemExit(f"{profile} has settings of its own: this is no place for a demo.")
    shutil.copyfile(HERE / "demo-profile.toml", profile)


def connect() -> None:
    """Point Airflow at the demo's peers; a connection that is there already stays."""
    known = subprocess.run(["airflow", "connections", "list", "-o", "json"], check=True, capture_output=True, text=True)
    there = {each["conn_id"] for each in json.loads(known.stdout)}
    for name, fields in connections().items():
        if name not in there:
            subprocess.run(["airflow", "connections", "add", name, "--conn-json", json.dumps(fields)], check=True)


def main() -> None:
    take_profile()
    casa_python = Path(os.environ["ALMA_RESTORE_CASA_PYTHON"])
    home = casa_home(DEMO / "casa-home", casa_python)
    make_archive(DEMO / "archive", casa_python, home, 2, datetime.now(timezone.utc), print)
    connect()
    for dag_id in DAGS:
        subprocess.run(["airflow", "dags", "unpause", dag_id], check=True)


if __name__ == "__main__":
    main()
