"""A whole Airflow on this machine, for the demo and the end-to-end tests: SQLite, LocalExecutor, loopback only."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from alma_restore.errors import Misconfigured

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
TELL_HEALTH = ("scheduler", "dag-processor", "triggerer")
START_LIMIT_S = 180.0
STOP_LIMIT_S = 20.0


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_of_airflow(home: Path, repository: Path, port: int) -> dict[str, str]:
    """Airflow's settings for a laptop, as environment variables (AIRFLOW.md sections 1, 2 and 4 of the design notes).

    Args:
        home: AIRFLOW_HOME of this Airflow.
        repository: where dags/ and plugins/ are.
        port: of the api-server, on 127.0.0.1.
    """
    options: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": repository / "dags",
            "plugins_folder": repository / "plugins",
            "load_examples": False,
            "executor": "LocalExecutor",
            # SQLite locks under the default of 32: scheduler and triggerer would stop without a word.
            "parallelism": 4,
            "dags_are_paused_at_creation": False,
            "execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
            "fernet_key": "",
            "simple_auth_manager_all_admins": True,
        },
        "database": {"sql_alchemy_conn": f"sqlite:///{home}/airflow.db?timeout=60"},
        "api": {"host": "127.0.0.1", "port": port, "base_url": f"http://127.0.0.1:{port}", "workers": 1},
        "api_auth": {"jwt_secret": secrets.token_urlsafe(64)},
        "scheduler": {
            "scheduler_idle_sleep_time": 0.1,
            "task_instance_heartbeat_timeout": 1800,
            "enable_health_check": False,
        },
        "dag_processor": {"refresh_interval": 30},
        # The api-server builds half of itself when it is first asked; a busy laptop takes longer than the default 5 s.
        "workers": {"max_failed_heartbeats": 500, "execution_api_timeout": 60},
        "triggerer": {"capacity": 100},
        "logging": {"base_log_folder": home / "logs"},
        "usage_data_collection": {"enabled": False},
    }
    return {
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{s}__{k}".upper(): str(v) for s, section in options.items() for k, v in section.items()},
    }


@dataclass
class SmallAirflow:
    """Airflow's components as children of this process, each in a group of its own.

    Args:
        home: AIRFLOW_HOME; made when it is not there.
        template: a migrated SQLite database to start from, made once (`db migrate` takes ten seconds); None: the
            environment names another database.
        environment: the whole environment of the components.
        port: of the api-server.
        components: what is started: Airflow's commands, with their options.
    """

    home: Path
    template: Path | None
    environment: Mapping[str, str]
    port: int
    components: Sequence[str] = COMPONENTS
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def migrate(self) -> None:
        """Make Airflow's database, by copying the template if there is one."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self.template is None:
            self._airflow("db", "migrate", environment=self.environment)
            return
        if not self.template.exists():
            part = self.template.with_suffix(".part")
            part.unlink(missing_ok=True)
            part.parent.mkdir(parents=True, exist_ok=True)
            environment = {**self.environment, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{part}?timeout=60"}
            self._airflow("db", "migrate", environment=environment)
            part.replace(self.template)
        if not (self.home / "airflow.db").exists():
            shutil.copyfile(self.template, self.home / "airflow.db")

    def start(self) -> None:
        """Start every component; `wait_until_healthy` tells when they work."""
        for component in self.components:
            self.start_component(component)

    def start_component(self, component: str) -> None:
        with self._log(component).open("ab") as log:
            self._processes[component] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *component.split()],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_component(self, component: str) -> None:
        """End a component and its processes as a crash of its machine does, without asking."""
        process = self._processes.pop(component)
        for member in _family(process.pid):
            member.kill()
        process.wait()

    def stop_component(self, component: str, limit_s: float) -> int:
        """Ask a component to end, and wait until it has finished what it does; its exit code."""
        process = self._processes.pop(component)
        process.terminate()
        return process.wait(limit_s)

    def running(self) -> dict[str, int]:
        """The process id of each component that runs."""
        return {name: process.pid for name, process in list(self._processes.items()) if process.poll() is None}

    def wait_until_healthy(self) -> None:
        """Wait for every component's own word; the status code of the health page says nothing, its body does.

        Raises:
            Misconfigured: a component ended, or did not become healthy in time.
        """
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            self.check_alive()
            health = self.health()
            if all(health.get(name.replace("-", "_")) == "healthy" for name in self.components if name in TELL_HEALTH):
                return
            time.sleep(0.3)
        raise Misconfigured(f"Airflow was not healthy after {START_LIMIT_S:.0f} s.", remedy=f"Read {self.home}/*.log.")

    def health(self) -> dict[str, str]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return {}
        return {name: str((part or {}).get("status")) for name, part in answer.items()}

    def check_alive(self) -> None:
        """Raises Misconfigured when a component has ended."""
        for name, process in self._processes.items():
            if process.poll() is not None:
                log = self._log(name)
                tail = log.read_text(errors="replace")[-2000:]
                raise Misconfigured(f"Airflow's {name} ended.", remedy=f"Read {log}. It ends with:\n{tail}")

    def stop(self) -> None:
        """Stop every component and whatever it started; nothing is left."""
        family = [member for process in self._processes.values() for member in _family(process.pid)]
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT if process is self._processes.get("scheduler") else signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=STOP_LIMIT_S)
        for member in alive:
            member.kill()
        psutil.wait_procs(alive, timeout=STOP_LIMIT_S)
        for process in self._processes.values():
            process.wait()
        self._processes.clear()

    def api(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Call Airflow's REST API."""
        return httpx.request(method, f"http://127.0.0.1:{self.port}/api/v2/{path}", timeout=120, **kwargs)

    def _log(self, component: str) -> Path:
        return self.home / f"{component.replace(' ', '_')}.log"

    def _airflow(self, *arguments: str, environment: Mapping[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Misconfigured(f"airflow {' '.join(arguments)} failed.", remedy=(done.stdout + done.stderr)[-2000:])


def _family(pid: int) -> list[psutil.Process]:
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def base_environment() -> dict[str, str]:
    """This process's environment without any Airflow's or ours, so that a user's own settings do not leak in."""
    ours = ("AIRFLOW", "ALMA_RESTORE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
