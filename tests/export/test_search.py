from __future__ import annotations

import math
from collections import Counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from export.search import Found, fewest_in_float


class Losses:
    """A network whose score is what its quantized layers lose together, below zero; it counts what is asked of it."""

    def __init__(self, losses: list[int]) -> None:
        self.of = {f"layer {number}": loss for number, loss in enumerate(losses)}
        self.scored: list[frozenset[str]] = []
        self.harmed: Counter[str] = Counter()

    def score(self, in_float: frozenset[str]) -> float:
        self.scored.append(in_float)
        return -sum(loss for layer, loss in self.of.items() if layer not in in_float)

    def harm(self, layer: str) -> float:
        self.harmed[layer] += 1
        return self.of[layer]

    def search(self, limit: float) -> Found:
        layers = list(self.of)
        return fewest_in_float(layers, {layers[0], layers[-1]}, score=self.score, harm=self.harm, limit=limit)


@settings(max_examples=300, deadline=None)
@given(losses=st.lists(st.integers(1, 10_000), min_size=1, max_size=60, unique=True), share=st.floats(0, 1.1))
@example(losses=[5], share=0.0)
@example(losses=[5, 6], share=0.0)
@example(losses=[5, 6, 7, 8, 9, 10], share=0.5)
def test_the_fewest_layers_that_reach_the_limit(losses: list[int], share: float) -> None:
    network = Losses(losses)
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
        assert found.in_float == ends | set(inner[:most])  # the best there was


@settings(max_examples=100, deadline=None)
@given(losses=st.lists(st.integers(1, 10_000), min_size=1, max_size=300), share=st.floats(0, 1.1))
def test_scores_are_asked_for_rarely_and_harm_once_a_layer(losses: list[int], share: float) -> None:
    network = Losses(losses)
    network.search(-share * sum(losses))
    assert len(network.scored) <= 3 + 2 * math.log2(len(losses))
    assert len(set(network.scored)) == len(network.scored)
    assert set(network.harmed.values()) <= {1}
    assert not network.harmed.keys() & {"layer 0", f"layer {len(losses) - 1}"}


def test_harm_is_not_measured_where_the_first_try_is_enough() -> None:
    network = Losses([1] * 50)
    found = network.search(-48)
    assert found == Found(frozenset({"layer 0", "layer 49"}), -48, True)
    assert (len(network.scored), len(network.harmed)) == (1, 0)


def test_layers_that_harm_alike_stay_in_the_order_of_the_network() -> None:
    found = Losses([1] * 20).search(-15)
    assert found.in_float == {"layer 0", "layer 19", "layer 1", "layer 2", "layer 3"}
    assert found.reached


def test_no_more_than_half_of_the_layers_stay_in_float() -> None:
    found = Losses([1] * 20).search(-9.5)
    assert not found.reached
    assert len(found.in_float) == 10
    assert Losses([1] * 20).search(-10).reached


def test_a_limit_out_of_reach_gives_the_best_that_was_tried() -> None:
    """Here more layers in float make it worse, as may happen on few photos."""
    layers = [str(number) for number in range(16)]
    found = fewest_in_float(layers, {"0", "15"}, score=lambda kept: -len(kept), harm=float, limit=0)
    assert found == Found(frozenset({"0", "15"}), -2, False)
