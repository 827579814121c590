"""A real SMTP server that keeps the mails it gets, one file each."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from alma_restore.demo.small_airflow import free_port


class _Keep:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 -- aiosmtpd's name
        number = sum(1 for _ in self._folder.glob("*.eml"))
        (self._folder / f"{number:04d}.eml").write_bytes(envelope.content)
        return "250 kept"


class MailCatcher:
    """Listens on 127.0.0.1 and stores what arrives as `folder/0000.eml`, `0001.eml`, ...; a context manager.

    Args:
        port: 0 lets the system choose; `port` then tells which.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.port = port or free_port()
        self._controller = Controller(_Keep(folder), hostname="127.0.0.1", port=self.port)

    def __enter__(self) -> MailCatcher:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    def mails(self) -> list[EmailMessage]:
        read = email.policy.default
        return [email.message_from_bytes(path.read_bytes(), policy=read) for path in sorted(self._folder.glob("*.eml"))]
