"""What every task of a restore does around its stage: note it in the catalogue, and sort the errors.

The retry policy goes by class: what may get better by itself (`NotAvailable`, `DeliveryFailed`) is raised again for
Airflow to retry; everything else ends the request at once with its sentence.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTerminated

from alma_restore.errors import RestoreError
from alma_restore.orchestration.open_house import open_house
from alma_restore.restore.house import House

log = logging.getLogger(__name__)


@contextmanager
def stage(name: str, request_id: str) -> Iterator[House]:
    """Run one stage of a request.

    Args:
        name: of the stage, as the catalogue and the request page show it.

    Raises:
        AirflowFailException: the stage failed for good; the reason is stored.
        RestoreError: it may be retried.
    """
    house = open_house()
    try:
        house.catalogue.start_stage(request_id, name)
        yield house
    except RestoreError as error:
        if error.retryable and _tries_left():
            house.catalogue.note(request_id, f"{name}: {error} Tried again.")
            raise
        house.catalogue.fail(request_id, error, name)
        raise AirflowFailException(str(error)) from error
    except AirflowTaskTerminated:
        raise
    except Exception as error:
        if not _tries_left():
            unexpected = RestoreError(f"{name} stopped with an unexpected {type(error).__name__}: {error}.")
            house.catalogue.fail(request_id, unexpected, name)
        raise


def _tries_left() -> bool:
    instance: Any = get_current_context()["ti"]
    return bool(instance.try_number <= instance.max_tries)
