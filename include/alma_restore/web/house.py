"""The house as the api-server sees it: opened once, for all pages."""

from __future__ import annotations

from functools import cache
from typing import Annotated

from fastapi import Depends

from alma_restore.restore.house import House
from alma_restore.web.answers import Answers


@cache
def opened_house() -> House:
    """The house of this installation; the archive's connection is looked up anew for each question."""
    from alma_restore.orchestration.open_house import open_house

    return open_house()


@cache
def archive_answers() -> Answers:
    return Answers()


HouseDep = Annotated[House, Depends(opened_house)]
AnswersDep = Annotated[Answers, Depends(archive_answers)]
