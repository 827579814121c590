"""The settings of the demo: an embedded archive and everything else under one folder.

As a command, `python -m alma_restore.demo.environment airflow dags list` runs a command in these settings.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from alma_restore.demo.small_airflow import SmallAirflow, base_environment, free_port, settings_of_airflow
from alma_restore.workspace import write_json

REPOSITORY = Path(__file__).resolve().parents[3]
REQUESTER = "astronomer@example.org"


@dataclass(frozen=True, slots=True)
class DemoPorts:
    """Where the demo's servers listen on 127.0.0.1."""

    airflow: int
    ngas: int
    smtp: int


@dataclass(frozen=True, slots=True)
class DemoPlace:
    """The folders of the demo below ALMA_RESTORE_HOME."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "demo"

    @property
    def run(self) -> Path:
        """What one run of the demo makes, and the next one starts without."""
        return self.root / "run"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def ports_file(self) -> Path:
        return self.run / "ports.json"

    @property
    def casa_python(self) -> Path:
        return Path(os.environ.get("ALMA_RESTORE_CASA_PYTHON") or self.home / "env/casa/bin/python")


def place() -> DemoPlace:
    return DemoPlace(Path(os.environ.get("ALMA_RESTORE_HOME") or REPOSITORY / "var").absolute())


def new_ports(here: DemoPlace) -> DemoPorts:
    """Choose free ports and remember them for `./run airflow` and `./run alma-restore`."""
    ports = DemoPorts(free_port(), free_port(), free_port())
    here.run.mkdir(parents=True, exist_ok=True)
    write_json(here.ports_file, {"airflow": ports.airflow, "ngas": ports.ngas, "smtp": ports.smtp})
    return ports


def environment(here: DemoPlace, ports: DemoPorts, archive: Path, repository: Path = REPOSITORY) -> dict[str, str]:
    """The whole environment of the demo's processes."""
    exporter = [sys.executable, "-m", "alma_restore.demo.asdm_export_light"]
    return {
        **base_environment(),
        **settings_of_airflow(here.run / "airflow", repository, ports.airflow),
        "AIRFLOW_CONN_ALMA_METADATA": _connection("alma_embedded", host=str(archive / "metadata.sqlite")),
        "AIRFLOW_CONN_ALMA_NGAS": _connection("http", host="127.0.0.1", port=ports.ngas),
        "AIRFLOW_CONN_ALMA_SMTP": _connection(
            "smtp", host="127.0.0.1", port=ports.smtp, extra={"disable_ssl": True, "disable_tls": True}
        ),
        "ALMA_EMBEDDED_ARCHIVE": str(archive),
        "ALMA_RESTORE_HOME": str(here.run),
        "ALMA_RESTORE_AIRFLOW_URL": f"http://127.0.0.1:{ports.airflow}",
        "ALMA_RESTORE_CASA_PYTHON": str(here.casa_python),
        "ALMA_RESTORE_EXPORTER__COMMAND": json.dumps(exporter),
        "ALMA_RESTORE_DISK__SPARE_BYTES": str(200 * 1024**2),
        "ALMA_RESTORE_DETECTION__SCHEDULE": "* * * * *",
        # An archive of any age is to be found at once.
        "ALMA_RESTORE_DETECTION__WINDOW_DAYS": "36500",
        "ALMA_RESTORE_DETECTION__EMAIL": REQUESTER,
        "ALMA_RESTORE_CASA__NICENESS": "0",
        "ALMA_RESTORE_CASA__POLL_S": "0.2",
    }


def small_airflow(here: DemoPlace, ports: DemoPorts, variables: dict[str, str]) -> SmallAirflow:
    template = here.home / "cache" / f"airflow-{version('apache-airflow')}.db"
    return SmallAirflow(here.run / "airflow", template, variables, ports.airflow)


def _connection(kind: str, **fields: object) -> str:
    return json.dumps({"conn_type": kind, **fields})


def main() -> None:
    here = place()
    ports = DemoPorts(**json.loads(here.ports_file.read_text())) if here.ports_file.exists() else new_ports(here)
    command = Path(sys.executable).with_name(sys.argv[1])
    os.execve(command, [str(command), *sys.argv[2:]], environment(here, ports, here.archive))  # noqa: S606


if __name__ == "__main__":
    main()
