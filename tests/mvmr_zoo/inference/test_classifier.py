from __future__ import annotations

import numpy as np
import pytest

from mvmr_zoo.inference.classifier import Classification, probabilities


def test_softmax_and_sigmoid_against_the_formulas() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 4)).astype(np.float32)
    powers = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(probabilities(logits, "softmax"), powers / powers.sum(1, keepdims=True), atol=1e-7)
    np.testing.assert_allclose(probabilities(logits, "sigmoid"), powers / (1 + powers), atol=1e-7)


@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_huge_logits_stay_finite(scores: str) -> None:
    found = probabilities(np.array([[1e4, -1e4, 0.0]], np.float32), scores)
    assert found[0, 0] == 1
    assert found[0, 1] == 0


def test_top() -> None:
    said = Classification(("cat", "dog", "cow"), np.array([[0.2, 0.5, 0.3], [0.4, 0.3, 0.3]], np.float32))
    assert [[score.name for score in ranks] for ranks in said.top(2)] == [["dog", "cow"], ["cat", "dog"]]
    assert said.top()[0][0].probability == 0.5
    assert len(said.top(9)[0]) == 3
