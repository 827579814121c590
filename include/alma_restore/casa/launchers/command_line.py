"""The commands of a cluster, run on this machine or over ssh on a host of the cluster."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from subprocess import DEVNULL, CompletedProcess, TimeoutExpired, run

from alma_restore.errors import Misconfigured, NotAvailable

Answer = CompletedProcess[str]

_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
_TIMEOUT_S = 60.0
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "SSH_AUTH_SOCK", "KRB5CCNAME")
_NO_SUCH_COMMAND = 127


class CommandLine:
    """Runs commands as lists of arguments; what a shell has to see, as ssh's other end does, is quoted.

    Args:
        ssh_host: where they are run; empty: here.
        ssh_options: options of ssh, one element an argument.
        variables: environment variables that the commands need besides the usual ones. They get no others: a command
            that submits a job may hand its environment on, and ours holds Airflow's connections.
    """

    def __init__(self, ssh_host: str = "", ssh_options: Sequence[str] = (), variables: Sequence[str] = ()) -> None:
        self._ssh = (*_SSH, *ssh_options, "--", ssh_host) if ssh_host else ()
        self._where = f"on {ssh_host}" if ssh_host else "here"
        self._variables = (*_KEPT, *variables)

    def run(self, *command: str) -> Answer:
        """Run a command to its end, whatever that is.

        Raises:
            Misconfigured: it is not installed.
            NotAvailable: it does not come back.
        """
        argv = (*self._ssh, shlex.join(command)) if self._ssh else command
        environment = {name: os.environ[name] for name in self._variables if name in os.environ}
        try:
            answer = run(
                argv,
                env=environment,
                stdin=DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",  # a front end greets in any alphabet
                timeout=_TIMEOUT_S,
            )
        except TimeoutExpired as error:
            raise NotAvailable(f"{command[0]} {self._where} does not come back.", remedy="Is it up?") from error
        except OSError as error:
            raise Misconfigured(f"{argv[0]} cannot be run: {error.strerror}.", remedy="Install it.") from error
        if answer.returncode == _NO_SUCH_COMMAND:
            raise Misconfigured(f"There is no {command[0]} {self._where}: {words(answer)}.", remedy="Install it.")
        return answer


def words(answer: Answer) -> str:
    """What a command says about its failure: its last line."""
    lines = (answer.stderr or answer.stdout).strip().splitlines()
    return lines[-1].rstrip(".") if lines else f"exit code {answer.returncode}"
