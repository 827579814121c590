"""`./run demo`: the whole main job on an embedded archive, with real CASA, in one command."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from alma_restore.casa.casa_home import casa_home
from alma_restore.catalogue import migrate
from alma_restore.catalogue.store import Catalogue
from alma_restore.demo import environment as demo
from alma_restore.demo import results
from alma_restore.demo.archive import DEMO_MOUSS, make_archive
from alma_restore.demo.environment import DemoPlace, DemoPorts
from alma_restore.demo.mail_catcher import MailCatcher
from alma_restore.demo.ngas_server import NgasServer
from alma_restore.demo.small_airflow import SmallAirflow
from alma_restore.errors import Misconfigured, RestoreError
from alma_restore.workspace import write_json

NO_PROGRESS_LIMIT_S = 900.0
DAGS = ("restore_mous", "detect_calibrations")

_started = time.monotonic()


def say(text: str) -> None:
    """One line of progress: the seconds since the start, and what happened."""
    print(f"{time.monotonic() - _started:6.1f} s  {text}", flush=True)


def run(
    serve: Annotated[bool, typer.Option(help="Leave Airflow up afterwards, until Ctrl-C.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result for machines.")] = None,
    archive: Annotated[Path | None, typer.Option(help="Another embedded archive than the demo's own.")] = None,
) -> None:
    """Restore everything restorable of an embedded archive, through Airflow, with real CASA."""
    here = demo.place()
    try:
        with _alone(here):
            _fresh(here)
            result = _demonstrate(here, archive.resolve() if archive else None, serve)
    except RestoreError as error:
        say(str(error))
        raise typer.Exit(2) from error
    if json_file:
        write_json(json_file.absolute(), result.as_json())
    raise typer.Exit(0 if result.good else 1)


def _demonstrate(here: DemoPlace, other_archive: Path | None, serve: bool) -> results.Result:
    ports = demo.new_ports(here)
    archive = other_archive or here.archive
    variables = demo.environment(here, ports, archive)
    variables["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "True"  # until the archive is there
    airflow = demo.small_airflow(here, ports, variables)
    catalogue_url = f"sqlite:///{here.run / 'catalogue.db'}"
    with MailCatcher(here.run / "mails", ports.smtp) as mails, _interruptible(), ThreadPoolExecutor(1) as pool:
        making = pool.submit(_make_archive, here) if other_archive is None else None
        try:
            airflow.migrate()
            migrate.migrate(catalogue_url)
            airflow.start()
            if making:
                making.result()
            with NgasServer(archive / "ngas", port=ports.ngas):
                airflow.wait_until_healthy()
                say(f"Airflow is up: http://127.0.0.1:{ports.airflow}")
                _unpause(airflow)
                catalogue = Catalogue(catalogue_url)
                _wait_until_restored(airflow, catalogue)
                say("comparing with the reference of the calibration, bit by bit")
                result = results.gather(here, archive, catalogue, mails.mails(), expected=not other_archive)
                result.seconds = round(time.monotonic() - _started, 1)
                results.show(result)
                if serve:
                    _serve(airflow, ports)
        finally:
            say("stopping Airflow")
            airflow.stop()
    return result


def _make_archive(here: DemoPlace) -> None:
    started = time.monotonic()
    casa = casa_home(here.home / "cache" / "casa-home", here.casa_python)
    make_archive(
        here.archive, here.casa_python, casa, 2, datetime.now(timezone.utc), lambda text: say(f"archive: {text}")
    )
    say(f"the demo archive is there: {len(DEMO_MOUSS)} MOUSs ({time.monotonic() - started:.1f} s)")


def _unpause(airflow: SmallAirflow) -> None:
    """Let the DAGs go, as soon as Airflow has read their files."""
    deadline = time.monotonic() + 60
    for dag_id in DAGS:
        while airflow.api("PATCH", f"dags/{dag_id}", json={"is_paused": False}).status_code != 200:
            airflow.check_alive()
            if time.monotonic() > deadline:
                raise Misconfigured(
                    f"Airflow does not find the DAG {dag_id}.", remedy="./run airflow dags list-import-errors"
                )
            time.sleep(0.3)
    say("detect_calibrations is scheduled; waiting for what it finds")


def _wait_until_restored(airflow: SmallAirflow, catalogue: Catalogue) -> None:
    """Wait until detection has looked and every request has ended, and tell each step of each request."""
    told: dict[str, Any] = {}
    changed = time.monotonic()
    while True:
        airflow.check_alive()
        states = results.states(catalogue)
        for line in results.news(told, states):
            say(line)
            changed = time.monotonic()
        if states.all_ended and _runs_ended(airflow):
            return
        if time.monotonic() - changed > NO_PROGRESS_LIMIT_S:
            raise Misconfigured(
                f"Nothing happened for {NO_PROGRESS_LIMIT_S:.0f} s.", remedy=f"Read {airflow.home}/*.log."
            )
        time.sleep(0.3)


def _runs_ended(airflow: SmallAirflow) -> bool:
    """Whether a detection has ended, and every restore with its mail and clean-up."""
    detections = airflow.api("GET", "dags/detect_calibrations/dagRuns", params={"state": ["success", "failed"]}).json()
    active = airflow.api("GET", "dags/restore_mous/dagRuns", params={"state": ["queued", "running"]}).json()
    return bool(detections.get("dag_runs")) and not active.get("dag_runs", True)


def _serve(airflow: SmallAirflow, ports: DemoPorts) -> None:
    say(f"Airflow stays up at http://127.0.0.1:{ports.airflow} (no log-in); Ctrl-C stops it.")
    try:
        while True:
            airflow.check_alive()
            time.sleep(1)
    except KeyboardInterrupt:
        print()


def _fresh(here: DemoPlace) -> None:
    """Begin anew: what an earlier run of the demo made is removed, but for the archive."""
    for path in here.run.glob("*"):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _alone(here: DemoPlace) -> Iterator[None]:
    """One demo at a time in one home."""
    here.root.mkdir(parents=True, exist_ok=True)
    with (here.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            remedy = "Stop it, or give this one another ALMA_RESTORE_HOME."
            raise Misconfigured(f"A demo is running in {here.home} already.", remedy=remedy) from error
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: everything is stopped, nothing is left."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def main() -> None:
    try:
        typer.run(run)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
