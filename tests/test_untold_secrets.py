"""A password is in nothing that is printed: no representation, and no message of an error.

What a whole restore leaves behind is searched in tests/production/test_celery.py.
"""

from __future__ import annotations

import pytest

from alma_restore.archive.ngas import NgasClient, NgasNode
from alma_restore.archive.records import ProductFile
from alma_restore.catalogue.migrate import migrate
from alma_restore.catalogue.store import Catalogue
from alma_restore.client.connections import Connection
from alma_restore.client.rest import Credentials
from alma_restore.errors import RestoreError
from alma_restore.events import broker
from alma_restore.events.consuming import Consumer
from alma_restore.settings import EventsSettings, NgasSettings

SECRET = "that-nobody-may-see"


def told(action):
    """All that somebody could read of an error: its text, its causes and theirs."""
    with pytest.raises(RestoreError) as caught:
        action()
    error, texts = caught.value, []
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or error.__context__
    return " ".join(texts)


def test_a_catalogue_that_does_not_answer():
    url = f"postgresql+psycopg://alma:{SECRET}@127.0.0.1:1/catalogue"
    assert "127.0.0.1" in told(lambda: Catalogue(url).find())
    assert SECRET not in told(lambda: Catalogue(url).find()) + told(lambda: migrate(url)) + repr(Catalogue(url).engine)


def test_an_ngas_that_does_not_answer(tmp_path):
    node = NgasNode("127.0.0.1", 1, "alma", SECRET)
    client = NgasClient([node], NgasSettings(tries=1), tmp_path)
    assert SECRET not in repr(node)
    assert SECRET not in told(lambda: client.fetch(ProductFile("a.tgz", "calibration", 1), tmp_path))


def test_a_broker_and_the_credentials_of_a_command(monkeypatch):
    connection = Connection("amqp", "127.0.0.1", 1, "alma", SECRET)
    parameters = broker.parameters(connection)
    assert SECRET not in repr(connection)
    assert SECRET not in repr(parameters)
    assert SECRET not in repr(Consumer(parameters, EventsSettings(), None, print))
    monkeypatch.setenv("ALMA_RESTORE_AIRFLOW_USER", "ada")
    monkeypatch.setenv("ALMA_RESTORE_AIRFLOW_PASSWORD", SECRET)
    assert SECRET not in repr(Credentials.from_environment())
