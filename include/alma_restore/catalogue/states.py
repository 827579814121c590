"""The states of a request, and which may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from alma_restore.errors import RestoreError

State = Literal[
    "accepted", "running", "delivered", "delivered_with_warnings", "refused", "failed", "cancelled", "expired"
]

FOLLOWERS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        "accepted": frozenset({"running", "refused", "failed", "cancelled"}),
        "running": frozenset({"running", "delivered", "delivered_with_warnings", "refused", "failed", "cancelled"}),
        "delivered": frozenset({"expired"}),
        "delivered_with_warnings": frozenset({"expired"}),
        "refused": frozenset(),
        "failed": frozenset(),
        "cancelled": frozenset(),
        "expired": frozenset(),
    }
)
"""Which states may follow a state, but for a reopened request: that goes from any end back to `accepted`."""

DELIVERED: frozenset[State] = frozenset({"delivered", "delivered_with_warnings"})
ACTIVE: frozenset[State] = frozenset({"accepted", "running"})
ENDS: frozenset[State] = frozenset(FOLLOWERS) - ACTIVE


class IllegalTransition(RestoreError):
    """A request cannot go from the state it is in to the one asked for; it is left as it is."""

    kind = "illegal_transition"


def check_transition(request_id: str, old: State, new: State) -> None:
    """Let a legal change of state pass.

    Raises:
        IllegalTransition: `new` may not follow `old`.
    """
    if new not in FOLLOWERS[old]:
        remedy = "Reopen it to run it again." if old in ENDS else ""
        raise IllegalTransition(f"Request {request_id} is {old}; it cannot become {new}.", remedy=remedy)


def check_reopening(request_id: str, old: State) -> None:
    """Let an ended request start over.

    Raises:
        IllegalTransition: it has not ended.
    """
    if old not in ENDS:
        raise IllegalTransition(f"Request {request_id} is {old}; only an ended one can be reopened.")
