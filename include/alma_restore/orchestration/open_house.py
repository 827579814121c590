"""Builds the house from Airflow's connections: `alma_metadata`, `alma_ngas` and `alma_smtp`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowNotFoundException

from alma_restore.archive import oracle
from alma_restore.archive.asdm import AsdmExporter
from alma_restore.archive.metadata import Metadata
from alma_restore.archive.ngas import NgasClient, NgasNode
from alma_restore.archive.source import Archive
from alma_restore.catalogue.store import Catalogue
from alma_restore.delivery.sftp import SftpClient
from alma_restore.errors import Misconfigured
from alma_restore.restore.house import PAGES_AT, House
from alma_restore.settings import NgasSettings, Settings, settings

METADATA_CONNECTION = "alma_metadata"
NGAS_CONNECTION = "alma_ngas"
SMTP_CONNECTION = "alma_smtp"


def open_house() -> House:
    """The house of this installation.

    Raises:
        Misconfigured: a connection is missing, or the settings cannot be used.
    """
    here = settings()
    return House(here, Catalogue.opened(here.catalogue), _archive(here), send_mail, open_sftp, pages=_pages())


def _pages() -> str:
    """Where people find the archive page: below the address that Airflow itself gives to people."""
    airflow = str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
    return f"{airflow}{PAGES_AT}" if airflow else ""


def _archive(here: Settings) -> Archive:
    locks = here.home / "locks"
    connection = _connection(METADATA_CONNECTION)
    embedded = connection.conn_type == "alma_embedded"
    return Archive(
        metadata=Metadata(_metadata_connection),
        ngas=NgasClient(_ngas_nodes(here.ngas), here.ngas, locks),
        exporter=AsdmExporter(here.exporter, locks),
        asdm_folder=Path(connection.host).parent / "asdm" if embedded and connection.host else None,
    )


def _connection(name: str) -> Any:
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException as error:
        remedy = f"Add it in Airflow (Admin, Connections) or as AIRFLOW_CONN_{name.upper()}."
        raise Misconfigured(f"Airflow has no connection {name!r}.", remedy=remedy) from error


@contextmanager
def _metadata_connection() -> Iterator[Any]:
    """A connection to the metadata database, whatever its kind: the connection's type chooses the hook."""
    description = _connection(METADATA_CONNECTION)
    connect = description.get_hook().get_conn
    with closing(oracle.opened(connect) if description.conn_type == "oracle" else connect()) as connection:
        yield connection


def _ngas_nodes(of_profile: NgasSettings) -> list[NgasNode]:
    """The NGAS nodes of the connection, or where there is none those of the profile; a host may name several."""
    try:
        found = _connection(NGAS_CONNECTION)
    except Misconfigured:
        if not of_profile.host:
            raise
        return [NgasNode(host, of_profile.port) for host in _each(of_profile.host)]
    port = found.port or of_profile.port
    return [NgasNode(host, port, found.login or "", found.password or "") for host in _each(found.host or "")]


def _each(hosts: str) -> list[str]:
    """Host names with blanks or commas between them."""
    return hosts.replace(",", " ").split()


@contextmanager
def open_sftp(connection: str) -> Iterator[SftpClient]:
    """A connection to the SFTP site that Airflow knows under this name.

    Raises:
        Misconfigured: Airflow knows none of this name.
    """
    from airflow.providers.sftp.hooks.sftp import SFTPHook

    _connection(connection)
    with SFTPHook(ssh_conn_id=connection).get_managed_conn() as client:
        yield client


def send_mail(message: EmailMessage) -> None:
    """Hand a mail to the server of the connection `alma_smtp`.

    Raises:
        Exception: whatever the server or the network says; the caller stores it.
    """
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    with SmtpHook(smtp_conn_id=SMTP_CONNECTION) as hook:
        # The hook's own sending method writes HTML alone; ours are plain text and HTML, and already composed.
        client: Any = hook.get_conn()._smtp_client
        client.send_message(message)
