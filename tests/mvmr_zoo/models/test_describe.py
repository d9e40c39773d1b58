from __future__ import annotations

from pathlib import Path

import pytest

from mvmr_zoo import CATALOG, list_models, model_info
from mvmr_zoo.errors import ConfigError, UnknownModelError
from mvmr_zoo.models import damaged_models
from mvmr_zoo.models.catalog import BUNDLED_MODEL


def test_filters(zoo: Path) -> None:
    def names(**wanted: object) -> list[str]:
        found = [card.name for card in list_models(**wanted)]
        return [name for name in found if CATALOG[name].pin is None]  # pinned cards change over time

    assert names()[0] == BUNDLED_MODEL
    assert {card.name for card in list_models()} == set(CATALOG)
    assert names(task="semi-supervised") == ["resnet50-imagenet-semi1", "resnet50-imagenet-semi10"]
    assert names(data="stl10") == ["resnet50-clip-kd-stl10", "resnet50-stl10"]
    assert names(license="apache-2.0") == [BUNDLED_MODEL]
    assert names(max_params=12_000_000) == [BUNDLED_MODEL]
    assert names(min_metric={"stl10/linear": 0.9}) == ["resnet50-clip-kd-stl10"]
    assert names(min_metric={"stl10/linear": 0.8, "stl10/linear/top5": 0.99}) == ["resnet50-stl10"]
    assert names(min_metric={"imagenette/knn": 0.85}) == [BUNDLED_MODEL]
    assert names(task="distillation", data="imagenet", max_params=1) == []


def test_a_wildcard(zoo: Path) -> None:
    assert [card.name for card in list_models("resnet50-imagenet*")] == [
        "resnet50-imagenet", "resnet50-imagenet-semi1", "resnet50-imagenet-semi10"
    ]  # fmt: skip
    assert [card.name for card in list_models("*stl10", task="pretraining")] == ["resnet50-stl10"]
    assert list_models("RESNET50*") == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"task": "destillation"}, "Closest: distillation"),
        ({"data": "stl11"}, "Closest: stl10"),
        ({"license": "apache"}, "Closest: apache-2.0"),
        ({"min_metric": {"stl10/liner": 0.5}}, "Closest: stl10/linear"),
    ],
)
def test_filters_that_match_no_model(zoo: Path, wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        list_models(**wanted)


def test_unknown_name_lists_the_closest(zoo: Path) -> None:
    with pytest.raises(UnknownModelError, match="Closest: resnet50-stl10"):
        model_info("resnet50-stl1")


def test_measured_figures_come_with_the_bundled_model() -> None:
    figure = model_info(BUNDLED_MODEL).measured["imagenette/knn-v1/aligned"]
    assert figure.low is not None
    assert 0.9 <= figure.low <= figure.value <= 1


def test_a_damaged_zoo_copy_of_the_bundled_model(zoo: Path) -> None:
    """The model of the package comes first, so a damaged folder of its name in the zoo does not hide it."""
    (zoo / BUNDLED_MODEL).mkdir(parents=True)
    (zoo / BUNDLED_MODEL / "config.json").write_text("{")
    (zoo / "other").mkdir()
    (zoo / "other" / "config.json").write_text("{")
    assert list_models()[0].name == BUNDLED_MODEL
    assert list(damaged_models()) == ["other"]
