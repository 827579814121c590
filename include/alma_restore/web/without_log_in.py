"""An api-server without log-in is for one person's own machine: not for production, nor where others reach it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from ipaddress import ip_address

from alma_restore.errors import Misconfigured
from alma_restore.settings import settings

_EVERYBODY = "Everybody who reaches this api-server would be its administrator"
_LOG_IN = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=False"


def check() -> None:
    """Let an api-server start that asks for log-in, or that only this machine reaches and is not in production.

    Raises:
        Misconfigured: `simple_auth_manager_all_admins` is on, and so is `production`, or it listens to other machines.
    """
    from airflow.configuration import conf

    is_simple = conf.get("core", "auth_manager").endswith("SimpleAuthManager")
    if not (is_simple and conf.getboolean("core", "simple_auth_manager_all_admins")):
        return
    if settings().production:
        raise Misconfigured(
            f"{_EVERYBODY}, and it restores for astronomers (production = true).", remedy=f"Ask for log-in ({_LOG_IN})."
        )
    host = listens_at(sys.argv[1:], conf.get("api", "host"))
    if not is_loopback(host):
        raise Misconfigured(
            f"{_EVERYBODY}, and it listens on {host or 'any'}.",
            remedy=f"Bind it to 127.0.0.1 (AIRFLOW__API__HOST), or ask for log-in ({_LOG_IN}).",
        )


def listens_at(arguments: Sequence[str], configured: str) -> str:
    """The address that `airflow api-server` binds: that of its command line, else the configured one."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-H", "--host", default=configured)
    return str(parser.parse_known_args(list(arguments))[0].host)


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
