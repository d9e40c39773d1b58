from __future__ import annotations

import math
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from export.layer_search import LayerChoice, fewest_in_float


class FakeNetwork:
    """A network whose score is the negative sum of the losses of its quantized layers. It records all calls."""

    def __init__(self, losses: list[int]) -> None:
        self.of = {f"layer {number}": loss for number, loss in enumerate(losses)}
        self.scored: list[frozenset[str]] = []
        self.measured: Counter[str] = Counter()

    def score(self, in_float: frozenset[str]) -> float:
        self.scored.append(in_float)
        return -sum(loss for layer, loss in self.of.items() if layer not in in_float)

    def sensitivity(self, layer: str) -> float:
        self.measured[layer] += 1
        return self.of[layer]

    def search(self, limit: float) -> LayerChoice:
        layers = list(self.of)
        return fewest_in_float(
            layers, {layers[0], layers[-1]}, score=self.score, sensitivity=self.sensitivity, limit=limit
        )


@settings(max_examples=300, deadline=None)
@given(losses=st.lists(st.integers(1, 10_000), min_size=1, max_size=60, unique=True), share=st.floats(0, 1.1))
@example(losses=[5], share=0.0)
@example(losses=[5, 6], share=0.0)
@example(losses=[5, 6, 7, 8, 9, 10], share=0.5)
def test_search_finds_the_fewest_layers_that_reach_the_limit(losses: list[int], share: float) -> None:
    network = FakeNetwork(losses)
    ends = {"layer 0", f"layer {len(losses) - 1}"}
    inner = sorted((layer for layer in network.of if layer not in ends), key=lambda layer: -network.of[layer])
    allowed = share * sum(losses)
    most = max(0, len(losses) // 2 - len(ends))
    enough = [n for n in range(most + 1) if sum(network.of[layer] for layer in inner[n:]) <= allowed]

    found = network.search(-allowed)

    assert found.reached == bool(enough)
    assert ends <= found.in_float
    assert len(found.in_float) <= max(len(losses) // 2, len(ends))
    assert found.score == network.score(found.in_float)
    if enough:
        assert found.in_float == ends | set(inner[: enough[0]])
    else:
        assert found.in_float == ends | set(inner[:most])  # the best attempt


@settings(max_examples=100, deadline=None)
@given(losses=st.lists(st.integers(1, 10_000), min_size=1, max_size=300), share=st.floats(0, 1.1))
def test_search_needs_few_scores_and_one_sensitivity_per_layer(losses: list[int], share: float) -> None:
    network = FakeNetwork(losses)
    network.search(-share * sum(losses))
    assert len(network.scored) <= 3 + 2 * math.log2(len(losses))
    assert len(set(network.scored)) == len(network.scored)
    assert set(network.measured.values()) <= {1}
    assert not network.measured.keys() & {"layer 0", f"layer {len(losses) - 1}"}


def test_sensitivity_is_not_measured_if_the_first_attempt_suffices() -> None:
    network = FakeNetwork([1] * 50)
    found = network.search(-48)
    assert found == LayerChoice(frozenset({"layer 0", "layer 49"}), -48, True)
    assert (len(network.scored), len(network.measured)) == (1, 0)


def test_equally_sensitive_layers_are_tried_in_network_order() -> None:
    found = FakeNetwork([1] * 20).search(-15)
    assert found.in_float == {"layer 0", "layer 19", "layer 1", "layer 2", "layer 3"}
    assert found.reached


def test_at_most_half_of_the_layers_remain_in_float() -> None:
    found = FakeNetwork([1] * 20).search(-9.5)
    assert not found.reached
    assert len(found.in_float) == 10
    assert FakeNetwork([1] * 20).search(-10).reached


def test_search_returns_the_best_attempt_if_the_limit_is_unreachable() -> None:
    """More layers in float lower the score here, which can happen with few photos."""
    layers = [str(number) for number in range(16)]
    found = fewest_in_float(layers, {"0", "15"}, score=lambda kept: -len(kept), sensitivity=float, limit=0)
    assert found == LayerChoice(frozenset({"0", "15"}), -2, False)
