"""An api-server without log-in is for one person's own machine: it does not start where others could reach it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from ipaddress import ip_address

from alma_restore.errors import Misconfigured


def check() -> None:
    """Let an api-server start that asks for log-in, or that only this machine reaches.

    Raises:
        Misconfigured: `simple_auth_manager_all_admins` is on, and it listens to other machines.
    """
    from airflow.configuration import conf

    is_simple = conf.get("core", "auth_manager").endswith("SimpleAuthManager")
    host = listens_at(sys.argv[1:], conf.get("api", "host"))
    if is_simple and conf.getboolean("core", "simple_auth_manager_all_admins") and not is_loopback(host):
        raise Misconfigured(
            f"Everybody who reaches this api-server would be its administrator, and it listens on {host or 'any'}.",
            remedy="Bind it to 127.0.0.1 (AIRFLOW__API__HOST), or ask for log-in "
            "(AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=False).",
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
