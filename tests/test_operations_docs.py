"""docs/operations.md knows every reason for which a request can end badly."""

from __future__ import annotations

import re
from pathlib import Path

from alma_restore import errors
from alma_restore.rules import eligibility

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "include" / "alma_restore"
OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text()
ANSWERS = {"web", "client", "cli"}
"""Rooms whose refusals answer a person at once, and end no request."""
NO_END = {"unknown_request"}


def codes_of(module: Path) -> set[str]:
    return set(re.findall(r'code="(\w+)"', module.read_text()))


def test_every_reason_for_a_refusal_is_told() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in ANSWERS]
    codes = set().union(*map(codes_of, modules), eligibility._REASONS) - NO_END
    assert len(codes) > 10
    refused = OPERATIONS.partition("## Refused")[2].partition("## Failed")[0]
    assert {code for code in codes if f"`{code}`" not in refused} == set()


def test_every_kind_of_failure_is_told() -> None:
    kinds = {each.kind for each in vars(errors).values() if isinstance(each, type)} - {"refused"}
    failed = OPERATIONS.partition("## Failed")[2].partition("## Stuck")[0]
    assert {kind for kind in kinds if f"| `{kind}` |" not in failed} == set()
