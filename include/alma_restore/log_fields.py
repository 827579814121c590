"""Which restore a line of a log is about: told once, it stands on every line that this task or thread writes then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any, TypeVar

import structlog
from structlog.typing import EventDict, Processor

R = TypeVar("R")

_ORDER = ("timestamp", "level", "event")


def bind(request_id: str, mous_uid: str | None, stage: str) -> None:
    """From now on, to the end of this process, thread or task: also what its surroundings write of its failure."""
    structlog.contextvars.bind_contextvars(**_fields(request_id, mous_uid, stage))


def bound(request_id: str, mous_uid: str | None, stage: str) -> AbstractContextManager[None]:
    """The same for the lines of a `with` block alone."""
    return structlog.contextvars.bound_contextvars(**_fields(request_id, mous_uid, stage))


def in_thread(action: Callable[..., R]) -> Callable[..., R]:
    """An action to be given to another thread, whose lines are then about the same as those of this one."""
    here = copy_context()
    return lambda *arguments: here.copy().run(action, *arguments)


def to_standard_error(as_json: bool) -> None:
    """Have a program that is not Airflow's write its log, a line an event, with these fields."""
    render: Any = (
        structlog.processors.JSONRenderer() if as_json else structlog.processors.LogfmtRenderer(key_order=_ORDER)
    )
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _one_line, render],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _fields(request_id: str, mous_uid: str | None, stage: str) -> dict[str, str]:
    return {"request_id": request_id, "mous_uid": str(mous_uid or ""), "stage": stage}


def _one_line(_: Any, __: str, event: EventDict) -> EventDict:
    """What comes from outside cannot begin a line of its own, nor colour a terminal."""
    return {name: _printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
