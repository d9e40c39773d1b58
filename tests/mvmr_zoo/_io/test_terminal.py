from __future__ import annotations

import pytest

from mvmr_zoo._io import counted


@pytest.mark.parametrize(
    ("count", "noun", "plural", "expected"),
    [
        (0, "photo", "", "0 photos"),
        (1, "photo", "", "1 photo"),
        (2664, "photo", "", "2,664 photos"),
        (1, "copy", "copies", "1 copy"),
        (2, "copy", "copies", "2 copies"),
    ],
)
def test_counted(count: int, noun: str, plural: str, expected: str) -> None:
    assert counted(count, noun, plural) == expected
