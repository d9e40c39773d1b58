from __future__ import annotations

import pytest

from mvmr_zoo.errors import MissingDependencyError


@pytest.mark.parametrize(
    ("cause", "message"),
    [
        (ModuleNotFoundError("No module named 'faiss'"), "is not installed. Run `pip install 'mvmr-zoo[runtime]'`."),
        (ImportError("libgomp.so.1: cannot open"), "cannot be imported: libgomp.so.1: cannot open. Install it again."),
    ],
)
def test_a_library_that_is_installed_but_broken(cause: ImportError, message: str) -> None:
    with pytest.raises(MissingDependencyError) as caught:
        raise MissingDependencyError("faiss", "runtime", "search") from cause
    assert str(caught.value) == f"faiss is required to search but {message}"
