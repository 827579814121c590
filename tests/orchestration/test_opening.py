"""What waits in Airflow since detection or a backfill found it is not restored beside what a person asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from alma_restore.catalogue.store import Catalogue
from alma_restore.errors import Refused, RestoreError
from alma_restore.orchestration.open_house import open_house
from alma_restore.request import Origin, RestoreRequest
from alma_restore.restore import opening
from alma_restore.restore.house import House
from alma_restore.uid import Uid

MOUS = Uid("uid://A001/X1284/X266")


@pytest.fixture
def house(home: Path, catalogue: Catalogue) -> House:
    return open_house()


def admitted(house: House, origin: Origin, **asked: object) -> str:
    """The id of a request that has passed the door."""
    request = RestoreRequest.parse({"mous_uid": MOUS, "origin": origin, **asked})
    record = house.catalogue.open_request(request)
    opening.admit(house, record.id)
    house.catalogue.start_stage(record.id, "prepare_workspace")
    return record.id


@pytest.mark.parametrize("origin", ["detection", "backfill"])
def test_what_was_found_is_refused_when_a_person_has_got_the_same(house: House, origin: Origin) -> None:
    persons = house.catalogue.finish(admitted(house, "page"))
    with pytest.raises(Refused, match=f"Request {persons.number} has delivered the same already") as refusal:
        admitted(house, origin)
    assert refusal.value.code == "already_requested"


def test_it_is_restored_when_the_person_got_something_else_or_nothing_yet(house: House) -> None:
    house.catalogue.finish(admitted(house, "page", tar=True))
    admitted(house, "page")
    house.catalogue.fail(admitted(house, "command"), RestoreError("It broke."), "fetch_asdm")
    admitted(house, "backfill")


def test_a_person_is_never_refused_for_what_others_get(house: House) -> None:
    for origin in ("backfill", "page", "event"):
        admitted(house, origin)
