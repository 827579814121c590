"""What the tests of the product files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_delivery import Delivery


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    return Delivery(tmp_path / "spool" / "products").write()
