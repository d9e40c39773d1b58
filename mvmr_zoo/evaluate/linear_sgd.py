"""`linear-sgd-v1`: a linear classifier trained by Adam on random crops, the protocol of the paper.

Batch size 256, 100 epochs, Adam with a cosine schedule to zero, and the paper's random crops and flips. The peak
learning rate is 1e-3, because the paper's 1e-4 is too low for a few thousand images. Each epoch uses another random
crop of every image. With V precomputed views, epoch e uses view e modulo V.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmr_zoo.errors import DataError, MissingDependencyError
from mvmr_zoo.evaluate.labels import Answers, Classes, among_top, check_features, check_widths, unit_scale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

VIEWS = 10
"""Number of random crops of each training image that `mvmr-zoo eval` precomputes."""

EPOCHS = 100
BATCH_SIZE = 256
PEAK_LR = 1e-3

BEST_EPOCH = "/best-epoch"
"""Suffix of the result that is chosen on the test split."""


@dataclass(frozen=True)
class LinearSgdResult(Answers):
    """`Answers` of the last epoch, and the accuracy of each epoch.

    Args:
        by_epoch: `(EPOCHS,)` test accuracy after each epoch. Do not choose an epoch by it.
        best_predictions: `(M,)` predictions of the best epoch. It is chosen on test, so its accuracy is optimistic.
        top5: `(M,)` whether the class of each test image is one of the five most likely.
    """

    by_epoch: NDArray[np.float64]
    best_predictions: NDArray[np.int64]
    top5: NDArray[np.bool_]

    @property
    def best_answers(self) -> NDArray[Any]:
        """The labels of `best_predictions`."""
        return self.classes.names[self.best_predictions]


def linear_sgd(
    train_views: Sequence[NDArray[np.float32]],
    train_labels: ArrayLike,
    test: NDArray[np.float32],
    test_labels: ArrayLike,
    *,
    seed: int = 0,
    device: str = "cpu",
) -> LinearSgdResult:
    """Train on views of train, and evaluate on test after the last epoch.

    The mean of the first training view is subtracted from all features. Then they are divided by its root mean square,
    one number.

    Args:
        train_views: One or more views of the same images, each `(N, D)` features.
        train_labels: `(N,)` class labels, numbers or strings.
        test: `(M, D)` features.
        test_labels: `(M,)` class labels. They are read once, after the predictions. Images of classes that are not in
            `train_labels` count as errors.
        seed: Random seed of the order of the images.
        device: `cpu` or `cuda`.

    Raises:
        DataError: There is no view, a split is empty, features are not finite, or train has a single class.
        MissingDependencyError: PyTorch is not installed.
    """
    classes, numbers = Classes.of(train_labels)
    if not train_views:
        raise DataError("linear-sgd-v1 received no training views; expected at least one.")
    check_features("test", test)
    for view in train_views:
        check_features("train", view, len(numbers))
        check_widths(view, test)
    if len(classes) < 2:
        raise DataError(f"The training split has {len(classes)} class; linear-sgd-v1 needs at least two.")
    mean = train_views[0].mean(axis=0)
    scale = unit_scale(train_views[0] - mean)
    scaled = [(view - mean) * scale for view in train_views]
    predictions = []
    for logits in _logits_by_epoch(scaled, numbers, (test - mean) * scale, len(classes), seed, device):
        predictions.append(logits.argmax(axis=1))
    truth = classes.numbers(test_labels, len(test))
    by_epoch = np.asarray([(each == truth).mean() for each in predictions])
    return LinearSgdResult(
        accuracy=float(by_epoch[-1]),
        predictions=predictions[-1],
        classes=classes,
        by_epoch=by_epoch,
        best_predictions=predictions[int(by_epoch.argmax())],
        top5=among_top(logits, truth),
    )


def _logits_by_epoch(
    views: list[NDArray[np.float32]], labels: NDArray[np.int64], test: NDArray[np.float32], classes: int, seed: int,
    device: str,
) -> Iterator[NDArray[np.float32]]:  # fmt: skip
    """Yield the logits of the test images, `(M, classes)`, after each epoch."""
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError("PyTorch", "cpu", "train a linear classifier") from error
    seen, targets, asked = (
        [torch.from_numpy(view).to(device) for view in views],
        torch.from_numpy(labels).to(device),
        torch.from_numpy(test).to(device),
    )
    layer = torch.nn.Linear(test.shape[1], classes, device=device)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=PEAK_LR)
    steps = EPOCHS * math.ceil(len(labels) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.Generator().manual_seed(seed)
    for epoch in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(labels), generator=order).to(device), BATCH_SIZE):
            loss = torch.nn.functional.cross_entropy(layer(seen[epoch % len(seen)][rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            logits = layer(asked).cpu().numpy()
        yield logits
