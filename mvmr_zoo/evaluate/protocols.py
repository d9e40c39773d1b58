"""The table of protocols. Each maps an encoder and a data set to results, and explains when it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mvmr_zoo.datasets import VocImages
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.evaluate.bootstrap import Measured, means_of
from mvmr_zoo.evaluate.cache import crops_photos, features_of_test, features_of_train, ten_crop_features
from mvmr_zoo.evaluate.knn import NEIGHBORS, knn_by_k
from mvmr_zoo.evaluate.linear import linear
from mvmr_zoo.evaluate.linear_sgd import BEST_EPOCH, VIEWS, linear_sgd
from mvmr_zoo.evaluate.retrieval import retrieval
from mvmr_zoo.evaluate.semi import semi
from mvmr_zoo.evaluate.views import RandomCrop
from mvmr_zoo.evaluate.voc07 import precisions_by_class, voc07

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mvmr_zoo.datasets import Splits
    from mvmr_zoo.evaluate.cache import HashedSplits
    from mvmr_zoo.inference import Model

OTHER_NEIGHBORS = (1, 5, 200)

_FEW_CLASSES = 5
"""With this many classes or fewer, top-5 accuracy is always 1."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the protocols.

    Args:
        seed: Random seed of the held-out part of train, random crops, the split of a folder, and the bootstrap.
        ten_crop: Also evaluate `linear` on ten crops of each image.
    """

    seed: int = 0
    ten_crop: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError if the seed is out of range."""
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"The seed is {self.seed}; expected a whole number from 0 to {2**32 - 1}.")


DEFAULTS = Options()


class Outcome(NamedTuple):
    """Results, the main one first, and the predicted class numbers `(N,)` if the protocol classifies."""

    measured: Measured
    answers: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Protocol:
    """A protocol.

    Args:
        name: Name with version.
        measure: Function from an encoder, splits and options to results.
        refuses: Function that returns why the protocol cannot be used with an encoder and splits, or "" if it can. The
            text continues the sentence "NAME cannot be used with".
        classifier: Whether it measures the encoder's own classifier, which always uses features.
        prefers_features: Whether it measures features by default. Linear probes do, because features have more
            information than their projection into the teacher's space.
    """

    name: str
    measure: Callable[[Model, HashedSplits, Options], Outcome]
    refuses: Callable[[Model, Splits], str]
    classifier: bool = False
    prefers_features: bool = False


def _knn(model: Model, splits: HashedSplits, options: Options) -> Outcome:
    train, test, truth = features_of_train(model, splits), features_of_test(model, splits), splits.test.labels
    results = knn_by_k(train, splits.train.labels, test, truth, ks=(NEIGHBORS, *OTHER_NEIGHBORS))
    right = {"knn-v1" if k == NEIGHBORS else f"knn-v1/k={k}": each.answers == truth for k, each in results.items()}
    return Outcome(means_of(right), results[NEIGHBORS].answers)


def _linear(model: Model, splits: HashedSplits, options: Options) -> Outcome:
    train, labels, truth = features_of_train(model, splits), splits.train.labels, splits.test.labels
    seed, device = options.seed, model.engine.device
    ten_crops = ten_crop_features(model, splits) if options.ten_crop else None  # raises before the long fit
    found = linear(train, labels, features_of_test(model, splits), truth, seed=seed, device=device)
    right = {"linear-v1": found.answers == truth} | _top5("linear-v1", splits, found.top5)
    if ten_crops is not None:
        many = linear(train, labels, ten_crops, truth, seed=seed, device=device)
        right["linear-v1/ten-crop"] = many.answers == truth
    return Outcome(means_of(right), found.answers)


def _linear_sgd(model: Model, splits: HashedSplits, options: Options) -> Outcome:
    views = [features_of_train(model, splits, RandomCrop(options.seed, number)) for number in range(VIEWS)]
    test, truth = features_of_test(model, splits), splits.test.labels
    found = linear_sgd(views, splits.train.labels, test, truth, seed=options.seed, device=model.engine.device)
    right = {"linear-sgd-v1": found.answers == truth} | _top5("linear-sgd-v1", splits, found.top5)
    right[f"linear-sgd-v1{BEST_EPOCH}"] = found.best_answers == truth
    return Outcome(means_of(right), found.answers)


def _semi(model: Model, splits: HashedSplits, options: Options) -> Outcome:
    assert model.head is not None
    logits = features_of_test(model, splits) @ model.head.weight.T + model.head.bias
    truth = np.asarray(splits.test.class_names)[splits.test.labels]
    found = semi(logits, model.class_names, truth)
    right = {"semi-v1": found.answers == truth} | _top5("semi-v1", splits, found.top5)
    numbers = [splits.test.class_names.index(name) for name in found.answers]
    return Outcome(means_of(right), np.asarray(numbers, np.int64))


def _voc07(model: Model, splits: HashedSplits, options: Options) -> Outcome:
    assert isinstance(splits.train, VocImages)
    assert isinstance(splits.test, VocImages)
    truth = splits.test.presence
    found = voc07(
        features_of_train(model, splits), splits.train.presence, features_of_test(model, splits), truth,
        class_names=splits.test.class_names, seed=options.seed, device=model.engine.device,
    )  # fmt: skip

    whole = list(found.classes.values())  # of a class that a resample does not show

    def means_over_classes(rows: NDArray[np.int64]) -> dict[str, float]:
        drawn = precisions_by_class(found.scores[rows], truth[rows])
        classes = [each or over_all for each, over_all in zip(drawn, whole, strict=True)]
        return {
            "voc07-v1": float(np.mean([each.eleven_point for each in classes])),
            "voc07-v1/area": float(np.mean([each.area for each in classes])),
        }

    return Outcome(Measured(len(truth), means_over_classes))


def _retrieval(model: Model, splits: HashedSplits, options: Options) -> Outcome:
    found = retrieval(features_of_test(model, splits), splits.test.labels)
    by_k = {f"retrieval-v1/recall@{k}": found.found[:, column] for column, k in enumerate(found.recall)}
    return Outcome(means_of({"retrieval-v1/map": found.precisions, **by_k}))


def _top5(name: str, splits: Splits, top5: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    return {} if len(splits.test.class_names) <= _FEW_CLASSES else {f"{name}/top5": top5}


def _one_class(model: Model, splits: Splits) -> str:
    return f"{splits.name} because its photos have several classes each. Use voc07" if splits.several else ""


def _other_crops(model: Model, splits: Splits) -> str:
    if crops_photos(model):
        return f"{model.card.name} because its graph crops photos itself. Evaluate its checkpoint instead"
    return _one_class(model, splits)


def _several_classes(model: Model, splits: Splits) -> str:
    return (
        "" if splits.several else f"{splits.name} because its images have one class each. It needs the photos of VOC07"
    )


def _own_classifier(model: Model, splits: Splits) -> str:
    if model.head is None:
        return f"{model.card.name} because it has no classifier. Train one with `python -m training.finetune`"
    if set(model.class_names) != set(splits.test.class_names):
        return f"{model.card.name} and {splits.name} because their classes differ"
    return _one_class(model, splits)


PROTOCOLS: dict[str, Protocol] = {
    "knn": Protocol("knn-v1", _knn, _one_class),
    "linear": Protocol("linear-v1", _linear, _one_class, prefers_features=True),
    "linear-sgd": Protocol("linear-sgd-v1", _linear_sgd, _other_crops, prefers_features=True),
    "semi": Protocol("semi-v1", _semi, _own_classifier, classifier=True),
    "voc07": Protocol("voc07-v1", _voc07, _several_classes, prefers_features=True),
    "retrieval": Protocol("retrieval-v1", _retrieval, _one_class),
}
"""Protocols by their name on the command line."""
