"""A real sshd that serves SFTP on 127.0.0.1, and a link to it that can be cut."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class FarEnd:
    """Where the server listens, and what a client needs to log in."""

    folder: Path
    port: int

    @property
    def client_key(self) -> Path:
        return self.folder / "client_key"

    @contextmanager
    def connect(self, port: int | None = None, key: Path | None = None) -> Iterator[paramiko.SFTPClient]:
        """As Airflow's hook connects: unknown and changed host keys are refused."""
        client = paramiko.SSHClient()
        client.load_host_keys(str(self.folder / "known_hosts"))
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        host_key = client.get_host_keys()[f"[127.0.0.1]:{self.port}"]["ssh-ed25519"]
        client.get_host_keys().add(f"[127.0.0.1]:{port or self.port}", "ssh-ed25519", host_key)
        try:
            client.connect(
                "127.0.0.1",
                port or self.port,
                getpass.getuser(),
                key_filename=str(key or self.client_key),
                allow_agent=False,
                look_for_keys=False,
                timeout=10,
            )
            with client.open_sftp() as sftp:
                yield sftp
        finally:
            client.close()

    def know(self, public_key: str) -> None:
        kind, text, *_ = public_key.split()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {kind} {text}\n")


@contextmanager
def far_end(folder: Path, options: str = "") -> Iterator[FarEnd]:
    """Start the server, with options of `sftp-server`; it ends with the context."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "client_key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(keygen, check=True)
    end = FarEnd(folder, free_port())
    end.know((folder / "host_key.pub").read_text())
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{end.port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/client_key.pub\nPasswordAuthentication no\nPermitRootLogin yes\n"
        f"Subsystem sftp internal-sftp {options}\n"
    )
    if not os.getuid():
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd keeps its unprivileged half
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=log)
        try:
            _wait_until_it_listens(end.port)
            yield end
        finally:
            server.terminate()
            server.wait()


def _wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"sshd does not listen on {port}")


class FrailLink:
    """A way to the far end that breaks after so many bytes sent, a number of times; then it holds."""

    def __init__(self, port: int, breaks_after: int, times: int) -> None:
        self._to, self._breaks_after, self.breaks_left = port, breaks_after, times
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._pass_on, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(far, near, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
                passed += len(data)
                if counted and self.breaks_left and passed > self._breaks_after:
                    self.breaks_left -= 1
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
