"""Closing: delivery, the end that is stored, the mail, and the clean-up."""

from __future__ import annotations

from alma_restore.catalogue.records import DeliveryRecord, RequestRecord
from alma_restore.delivery import contents, destination, folder
from alma_restore.errors import CasaFailed, RestoreError
from alma_restore.mail import compose
from alma_restore.restore.house import House
from alma_restore.workspace import Workspace
