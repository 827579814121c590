"""What `doctor` looks at: each check tells in one sentence that all is well, or raises what is wrong."""

from __future__ import annotations

import shutil
import smtplib
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import httpx

from alma_restore.archive.ngas import NgasNode
from alma_restore.casa import installations, launchers
from alma_restore.casa.launchers.command_line import CommandLine, words
from alma_restore.casa.launchers.slurm import SlurmLauncher
from alma_restore.catalogue.store import Catalogue
from alma_restore.client import connections
from alma_restore.client.rest import DETECTION_DAG_ID, RESTORE_DAG_ID, AirflowRest, Credentials
from alma_restore.errors import Inconsistent, Misconfigured, NotAvailable, Refused
from alma_restore.settings import Settings
from alma_restore.uid import Uid

PATIENCE_S = 10.0

Check = Callable[[Settings], str]

_NO_SUCH_MOUS = Uid("uid://A000/X0/X0")


class NotChecked(Exception):
    """Something cannot be looked at from here; the sentence says why."""


def airflow(here: Settings) -> str:
    """Every component of Airflow says that it works."""
    health = _rest(here).health()
    ill = [f"{name.replace('_', ' ')}: {status}" for name, status in health.items() if status != "healthy"]
    if ill:
        raise NotAvailable(
            f"Airflow at {here.airflow_url} is not well: {', '.join(ill)}.", remedy="Start these components."
        )
    return f"Airflow at {here.airflow_url} works: {', '.join(name.replace('_', ' ') for name in health)}."


def dags(here: Settings) -> str:
    """Our DAGs are there, can be read, and are not paused."""
    rest = _rest(here)
    try:
        found = {dag_id: rest.dag(dag_id) for dag_id in (RESTORE_DAG_ID, DETECTION_DAG_ID)}
        errors = rest.import_errors()
    except NotAvailable as error:
        raise NotChecked("Airflow does not answer.") from error
    if errors:
        raise Misconfigured(
            f"Airflow cannot read {'; '.join(errors)}.", remedy="Mend the file, or install what it needs."
        )
    for dag_id, dag in found.items():
        if dag is None:
            remedy = "Point AIRFLOW__CORE__DAGS_FOLDER at dags/ of this repository."
            raise Misconfigured(f"Airflow has no DAG {dag_id}.", remedy=remedy)
        if dag["is_paused"]:
            raise Misconfigured(f"The DAG {dag_id} is paused.", remedy=f"Run `airflow dags unpause {dag_id}`.")
    return f"{' and '.join(found)} are there and not paused."


def catalogue(here: Settings) -> str:
    """Our own database answers, and does not contradict itself."""
    if not here.catalogue_url and not (here.home / "catalogue.db").is_file():
        raise NotChecked(f"There is no {here.home / 'catalogue.db'} yet; the first restore makes it.")
    database = Catalogue(here.catalogue)
    if found := database.contradictions():
        raise Inconsistent(
            f"The catalogue contradicts itself {len(found)} times: {' '.join(found[:3])}",
            remedy="Somebody has changed its database by hand, or this is a defect: look at these requests' histories.",
        )
    return f"{database.engine.url.render_as_string()} answers; {database.find(limit=1).total} requests."


def metadata(_: Settings) -> str:
    """The archive's metadata database answers, and lets us read the tables."""
    found = _connection(connections.METADATA)
    archive = connections.metadata()
    for ask in (archive.calibration, archive.project_structure):
        with suppress(Refused):  # it knows no such MOUS: an answer
            ask(_NO_SUCH_MOUS)
    return f"The metadata database {found.host} ({found.kind}) answers."


def ngas(here: Settings) -> str:
    """Every NGAS node answers and knows us."""
    nodes = connections.ngas_nodes(here)
    if not nodes:
        _connection(connections.NGAS)
        raise Misconfigured("No NGAS node is named.", remedy="Give the connection alma_ngas a host.")
    for node in nodes:
        _ask_ngas(node)
    return f"NGAS answers: {', '.join(f'{node.host}:{node.port}' for node in nodes)}."


def exporter(here: Settings) -> str:
    """The command that exports raw data is there, after its set-up script."""
    program, setup = here.exporter.command[0], here.exporter.setup_script
    if not setup:
        if shutil.which(program) is None:
            remedy = "Install the ALMA Common Software, or set exporter.command or exporter.setup_script."
            raise Misconfigured(f"There is no command {program!r}.", remedy=remedy)
        return f"{program} is there."
    asked = ["bash", "-c", 'source "$1" </dev/null >/dev/null 2>&1; command -v "$2"', "bash", setup, program]
    if not Path(setup).is_file() or _run(asked).returncode:
        raise Misconfigured(f"There is no command {program!r} after {setup}.", remedy="Mend exporter.setup_script.")
    return f"{program} is there after {setup}."


def casa(here: Settings) -> str:
    """Every CASA installation has the programs that its command names."""
    found = installations.load(here)
    if not found:
        raise Misconfigured("No CASA is registered where it is to run.", remedy="Register one (docs/casa.md).")
    if here.casa.launcher == "local":
        for each in found:
            command = [part for part in each.argv(Path("PPR.xml"), cores=1) if part != "PPR.xml"]
            missing = [part for part in command if part.startswith("/") and not Path(part).exists()]
            missing += [command[0]] if shutil.which(command[0]) is None else []
            if missing:
                sentence = f"CASA {each.name} needs {', '.join(dict.fromkeys(missing))}, which is not there."
                raise Misconfigured(sentence, remedy="Install it, or mend the installations file (docs/casa.md).")
    return f"CASA is there: {', '.join(each.name for each in found)}."


def launcher(here: Settings) -> str:
    """The place where CASA runs takes jobs."""
    name = here.casa.launcher
    launchers.get(name, here.casa)
    if name != SlurmLauncher.name:
        return f"CASA runs by the launcher {name}."
    slurm = here.casa.slurm
    commands = CommandLine(slurm.ssh_host, slurm.ssh_options, variables=["SLURM_CONF"])
    answer = commands.run("sinfo", "--noheader", "--format=%R")
    if answer.returncode:
        remedy = "Look at slurmctld, or at casa.slurm.ssh_host."
        raise NotAvailable(f"Slurm does not answer: {words(answer)}.", remedy=remedy)
    partitions = sorted(set(answer.stdout.split()))
    if slurm.partition and slurm.partition not in partitions:
        sentence = f"Slurm has no partition {slurm.partition}, only {', '.join(partitions)}."
        raise Misconfigured(sentence, remedy="Mend casa.slurm.partition.")
    return f"Slurm answers; its partitions: {', '.join(partitions)}."


def mail(_: Settings) -> str:
    """The mail server takes a log-in."""
    found = _connection(connections.SMTP)
    try:
        with _smtp(found) as server:
            if (
                not found.extra.get("disable_tls")
                and isinstance(server, smtplib.SMTP)
                and "starttls" in server.esmtp_features
            ):
                server.starttls(context=ssl.create_default_context())
            if found.login:
                server.login(found.login, found.password)
            server.noop()
    except (OSError, smtplib.SMTPException) as error:
        remedy = "Mend AIRFLOW_CONN_ALMA_SMTP, or start the server."
        raise NotAvailable(f"The mail server {found.host} does not take us: {error}.", remedy=remedy) from error
    return f"The mail server {found.host} takes mail from us."


def delivery(here: Settings) -> str:
    """Deliveries can be written."""
    return "Deliveries can be written: " + ", ".join(
        _writable(folder, 0) for folder in (here.delivery_root, *here.delivery.allowed_roots)
    )


def spool(here: Settings) -> str:
    """The spool can be written and has room."""
    return "The spool can be written: " + _writable(here.spool_root, here.disk.spare_bytes)


def broker(here: Settings) -> str:
    """The broker of events answers, where there is one."""
    from alma_restore.events.broker import channel, parameters

    found = connections.connection(connections.EVENTS)
    if found is None:
        raise NotChecked(f"{connections.variable_of(connections.EVENTS)} is not set: no events by RabbitMQ.")
    with channel(parameters(found), here.events):
        return f"The broker {found.host} answers; the exchange {here.events.exchange} is there."


CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "Airflow": airflow,
        "DAGs": dags,
        "catalogue": catalogue,
        "metadata database": metadata,
        "NGAS": ngas,
        "raw data exporter": exporter,
        "CASA": casa,
        "launcher": launcher,
        "mail": mail,
        "delivery": delivery,
        "spool": spool,
        "events": broker,
    }
)
"""Everything a restore needs, in the order of its story."""


def _rest(here: Settings) -> AirflowRest:
    return AirflowRest(here.airflow_url, Credentials.from_environment(), timeout_s=PATIENCE_S)


def _connection(name: str) -> connections.Connection:
    found = connections.connection(name)
    if found is None:
        raise NotChecked(f"{connections.variable_of(name)} is not set here; what Airflow itself keeps cannot be seen.")
    return found


def _ask_ngas(node: NgasNode) -> None:
    at = f"{node.host}:{node.port}"
    login = httpx.BasicAuth(node.user, node.password) if node.user else None
    try:
        answer = httpx.get(f"http://{at}/STATUS", auth=login, timeout=PATIENCE_S)
    except httpx.HTTPError as error:
        remedy = "Start it, or mend AIRFLOW_CONN_ALMA_NGAS."
        raise NotAvailable(f"NGAS at {at} does not answer: {error}.", remedy=remedy) from error
    if answer.status_code in (401, 403):
        raise Misconfigured(f"NGAS at {at} does not let us in.", remedy="Mend the log-in in AIRFLOW_CONN_ALMA_NGAS.")
    if "NgamsStatus" not in answer.text:
        raise Misconfigured(f"What answers at {at} is no NGAS.", remedy="Mend AIRFLOW_CONN_ALMA_NGAS.")


def _smtp(found: connections.Connection) -> smtplib.SMTP:
    """A connection to the mail server, encrypted as Airflow's SmtpHook does it unless the connection says otherwise."""
    encryption = ssl.create_default_context()
    if not found.extra.get("disable_ssl"):
        return smtplib.SMTP_SSL(found.host, found.port or 465, timeout=PATIENCE_S, context=encryption)
    server = smtplib.SMTP(found.host, found.port or 25, timeout=PATIENCE_S)
    if not found.extra.get("disable_tls"):
        server.starttls(context=encryption)
    return server


def _writable(folder: Path, spare_bytes: int) -> str:
    """The folder and its free space; a folder that is not there yet is judged by the one it will be made in."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        remedy = "Give the folder to the user that runs Airflow."
        raise Misconfigured(f"Nothing can be written to {folder}: {error}.", remedy=remedy) from error
    if free <= spare_bytes:
        sentence = f"{folder} has {free / 1e9:.1f} GB free, and {spare_bytes / 1e9:.1f} GB are kept spare."
        raise NotAvailable(sentence, remedy="Make room there; new restores wait for it.")
    return f"{folder} ({free / 1e9:.0f} GB free)"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
