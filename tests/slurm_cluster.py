"""A real Slurm of one node on the loopback interface: munged, slurmctld and slurmd in a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
NODE = "node1"

_PATH = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket
SlurmUser=root
SlurmdUser=root
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
ReturnToService=2
SlurmdTimeout=1
MessageTimeout=2
KillWait=1
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=16 State=UNKNOWN
PartitionName=casa Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


class SlurmCluster:
    """The three daemons; a context manager. The commands find it by `SLURM_CONF` in the environment."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="slurm-"))
        self._root.chmod(0o711)  # munged insists that others may reach its socket
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.conf = self._root / "slurm.conf"

    def __enter__(self) -> SlurmCluster:
        for folder in ("state", "spool"):
            (self._root / folder).mkdir()
        host = socket.gethostname().partition(".")[0]
        ports = {"controller_port": free_port(), "node_port": free_port()}
        self.conf.write_text(_CONF.format(root=self._root, host=host, node=NODE, **ports))
        os.environ["SLURM_CONF"] = str(self.conf)
        self._start_munge()
        self.start_controller()
        self.start_node()
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._daemons):
            self.stop(name, kill=True)
        while left_over := self._left_over():
            for process in left_over:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        del os.environ["SLURM_CONF"]
        shutil.rmtree(self._root)

    def start_controller(self, *options: str) -> None:
        self._start("slurmctld", "-D", *options)
        self.wait_until(lambda: "UP" in self.say("scontrol", "ping"))

    def start_node(self) -> None:
        self._start("slurmd", "-D", "-N", NODE)
        self.wait_until(lambda: self.say("sinfo", "--noheader", "--format=%T") in ("idle", "mixed"))

    def forget_all_jobs(self) -> None:
        """What happens to every ended job after some minutes, at once."""
        self.stop("slurmctld")
        self.start_controller("-c")
        self.wait_until(lambda: self.say("sinfo", "--noheader", "--format=%T") in ("idle", "mixed"))

    def stop(self, name: str, *, kill: bool = False) -> None:
        daemon = self._daemons.pop(name)
        if kill:
            daemon.kill()
        else:
            daemon.terminate()
        daemon.wait(20)

    def say(self, *command: str) -> str:
        """What one of Slurm's commands prints, well or not."""
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def wait_until(self, done: Callable[[], bool]) -> None:
        wait_until(done, otherwise=self._logs)

    def _start_munge(self) -> None:
        files = {name: self._root / f"munge.{name}" for name in ("key", "log", "pid", "seed", "socket")}
        files["key"].write_bytes(os.urandom(128))
        files["key"].chmod(0o400)
        socket_option = f"--socket={files.pop('socket')}"
        self._start("munged", "--foreground", socket_option, *(f"--{name}-file={file}" for name, file in files.items()))
        self.wait_until((self._root / "munge.socket").exists)

    def _start(self, name: str, *options: str) -> None:
        with (self._root / f"{name}.out").open("ab") as out:
            program = shutil.which(name, path=_PATH)
            assert program
            self._daemons[name] = subprocess.Popen([program, *options], stdout=out, stderr=out)

    def _left_over(self) -> list[psutil.Process]:
        """Job steps, which outlive their daemon, and what they run."""
        found = []
        mark = f"SLURM_CONF={self.conf}".encode()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                is_slurm = process.name().startswith("slurm") and process.status() != psutil.STATUS_ZOMBIE
                # A step writes its title over its environment; psutil reads no further than that.
                if is_slurm and mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                    found += [process, *process.children(recursive=True)]
        return found

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-1000:] for path in self._root.glob("*.out"))


def wait_until(done: Callable[[], bool], otherwise: Callable[[], str] = str, within_s: float = 40) -> None:
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A Slurm cluster, where Debian's packages slurm-wlm and munge are installed and we may run it."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]
    if missing:
        pytest.skip(f"No Slurm here ({', '.join(missing)} missing): tests/install-peers.sh installs it on Debian.")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons need root.")
    with SlurmCluster() as cluster:
        yield cluster
