"""Every test that docs/security.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", (CHECKOUT / "docs" / "security.md").read_text())))


def test_many_tests_are_named() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "test"), NAMED, ids=str)
def test_it_is_there(file: str, test: str) -> None:
    assert (CHECKOUT / file).exists()
    assert not test or f"def {test}(" in (CHECKOUT / file).read_text()
