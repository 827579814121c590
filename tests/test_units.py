"""Numbers as people read them."""

from __future__ import annotations

import pytest

from alma_restore import units


@pytest.mark.parametrize(
    ("size_bytes", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (1_380_000_000, "1.38 GB"),
        (99_960_000, "100 MB"),
        (999_499, "999 kB"),
        (999_700_000, "1 GB"),
        (999_999_999_999, "1 TB"),
        (123_000_000_000_000, "123 TB"),
        (2_500_000_000_000_000, "2.5 PB"),
        (9_999_000_000_000_000_000, "10000 PB"),
    ],
)
def test_a_size_is_told_in_the_unit_that_fits_once_it_is_rounded(size_bytes: int, said: str) -> None:
    assert units.size(size_bytes) == said
