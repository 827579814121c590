"""An SFTP server that knows the protocol and nothing of OpenSSH's extensions, as many sites run one."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
from paramiko import SFTP_OK, SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface


class _LetIn(paramiko.ServerInterface):
    def check_auth_password(self, username: str, password: str) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Handle(SFTPHandle):
    def stat(self) -> SFTPAttributes:
        return SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class _Files(SFTPServerInterface):
    def list_folder(self, path: str) -> list[SFTPAttributes]:
        return [SFTPAttributes.from_stat(entry.stat(follow_symlinks=False), entry.name) for entry in os.scandir(path)]

    def stat(self, path: str) -> SFTPAttributes | int:
        try:
            return SFTPAttributes.from_stat(Path(path).stat())
        except OSError as error:
            return SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        mode = "xb" if flags & os.O_EXCL else "wb" if flags & os.O_TRUNC else "r+b" if flags & os.O_RDWR else "rb"
        handle = _Handle(flags)
        try:
            handle.readfile = handle.writefile = Path(path).open(mode)  # noqa: SIM115 -- paramiko closes it
        except OSError as error:
            return SFTPServer.convert_errno(error.errno)
        return handle

    def remove(self, path: str) -> int:
        return _done(os.remove, path)

    def rename(self, oldpath: str, newpath: str) -> int:
        return paramiko.SFTP_FAILURE if os.path.lexists(newpath) else _done(os.rename, oldpath, newpath)

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        return _done(os.mkdir, path)

    def rmdir(self, path: str) -> int:
        return _done(os.rmdir, path)


def _done(work: Callable[..., None], *args: str) -> int:
    try:
        work(*args)
    except OSError as error:
        return SFTPServer.convert_errno(error.errno)
    return SFTP_OK


class PlainSftp:
    """Where the server listens; it lets everybody in."""

    def __init__(self) -> None:
        self._key = paramiko.RSAKey.generate(2048)
        self._socket = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    @contextmanager
    def connect(self) -> Iterator[paramiko.SFTPClient]:
        transport = paramiko.Transport(self._socket.getsockname())
        try:
            transport.connect(username="ada", password="")
            yield paramiko.SFTPClient.from_transport(transport)
        finally:
            transport.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                transport = paramiko.Transport(self._socket.accept()[0])
                transport.add_server_key(self._key)
                transport.set_subsystem_handler("sftp", SFTPServer, _Files)
                transport.start_server(server=_LetIn())
