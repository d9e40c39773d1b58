from __future__ import annotations

import pytest

from mvmr_zoo._io import lazy_import


def test_names_are_imported_on_first_use() -> None:
    get = lazy_import("package", {"sqrt": "math", "gone": "math"})
    assert get("sqrt")(4) == 2
    with pytest.raises(AttributeError, match="module 'package' has no attribute 'cbrt'"):
        get("cbrt")
    with pytest.raises(AttributeError, match="gone"):
        get("gone")
