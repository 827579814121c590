"""A request as the catalogue keeps it, and a real mail server."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.settings import MailSettings
from alma_restore.uid import Uid

ON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)


@pytest.fixture
def request_record() -> RequestRecord:
    return RequestRecord(
        id="f1a4dd4a-73ae-4aa7-ac30-9397d31dadab",
        run_id="run",
        correlation_id="correlation",
        mous_uid=Uid("uid://A001/X12d1/X23e"),
        eb_uid=None,
        fingerprint="",
        request={"casa_version": ""},
        origin="page",
        requested_by="ada",
        email="ada@example.org",
        destination="",
        state="delivered",
        stage="run_casa",
        attempt=1,
        error_kind="casa_failed",
        error_code="casa_failed",
        reason="CASA ended with exit code 1: table <a.tbl> & more are missing.",
        remedy="Ask for the products to be delivered again.",
        log_tail="INFO applycal: start\nSEVERE \x1b[31m<b>no table</b>\x1b[0m\n",
        warnings=["96 % of field J1924-2914 is flagged."],
        workspace="/spool/uid___A002_Xd248b5_Xa7a_2026_11_20_T12_00_00.000",
        casa_installation="casatasks",
        casa_version="6.7.0",
        casa_policy="The data were calibrated with CASA 6.6.1-17; the nearest newer one restores them.",
        created_at=ON,
        updated_at=ON,
        ended_at=ON,
    )


@pytest.fixture
def delivery() -> DeliveryRecord:
    return DeliveryRecord(
        request_id="f1a4dd4a-73ae-4aa7-ac30-9397d31dadab",
        destination="",
        path="/lustre/ada's data/uid___A001_X12d1_X23e__f1a4dd4a",
        size_bytes=12_345_678_901,
        files=1187,
        sha256="ab" * 32,
        delivered_at=ON,
        expires_at=ON + timedelta(days=21),
        keep=False,
        warned_at=None,
        removed_at=None,
    )


@pytest.fixture
def mail_settings() -> MailSettings:
    return MailSettings(sender="ALMA restores <restores@example.org>", contact="help@example.org")


class Postbox:
    def __init__(self) -> None:
        self.envelopes: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 -- aiosmtpd's name
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
def transport(postbox: Postbox) -> Iterator[Callable[[EmailMessage], object]]:
    """Hands a message to a real SMTP server, which takes addresses in ASCII alone, as many do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(postbox, hostname="127.0.0.1", port=port, enable_SMTPUTF8=False)
    controller.start()

    def hand_over(message: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
            client.send_message(message)

    yield hand_over
    controller.stop()
