"""The public names of `training`."""

from __future__ import annotations

import doctest
import inspect

import pytest

import training

WITH_EXAMPLE = {
    "DistillationLoss", "Hog", "LocalDeviation", "MVMRLoss", "Pixels", "Scattering", "distance_correlation",
    "distance_covariance",
}  # fmt: skip


def test_names_are_listed_and_nothing_else_is_there() -> None:
    assert training.__all__ == sorted(training.__all__)
    assert dir(training) == training.__all__
    assert set(training._MODULES) == set(training.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lars'"):
        _ = training.lars


@pytest.mark.parametrize("name", training.__all__)
def test_examples_of_public_names_are_true(name: str) -> None:
    found = getattr(training, name)
    assert inspect.getdoc(found)
    runner = doctest.DocTestRunner()
    examples = doctest.DocTestFinder(recurse=False).find(found, name)
    results = [runner.run(each) for each in examples]
    assert sum(result.failed for result in results) == 0
    assert (sum(result.attempted for result in results) > 0) >= (name in WITH_EXAMPLE)
