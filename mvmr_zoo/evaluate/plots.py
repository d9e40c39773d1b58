"""Plots as PNG files: a confusion matrix, k-NN accuracy by k, a map of features.

matplotlib and scikit-learn are imported here only, when the first plot is drawn. Equal inputs give equal bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from mvmr_zoo.errors import DataError, MissingDependencyError, printable
from mvmr_zoo.evaluate.captions import INK, png_file, short
from mvmr_zoo.evaluate.labels import check_features, check_numbers, confusion_counts
from mvmr_zoo.inference import unit

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint import Figure

MAP_ROWS = 2000
MIN_MAP_ROWS = 5
LABELED_CLASSES = 20
"""Largest number of classes with counts in the cells and a legend. With more, they cannot be read."""

TICK_LABELS = 40
PERPLEXITY = 30
DPI, MARGIN_IN = 150, 0.1

_MUTED = "#332288 #cc6677 #44aa99 #ddcc77 #88ccee #882255 #117733 #aa4499 #999933 #555555".split()
"""The muted color scheme of Paul Tol with a darker gray. More than ten classes repeat it with another marker."""

_MARKERS = "o^"
_LINE, _GRAY = "#332288", "#cccccc"


def confusion_plot(
    path: str | os.PathLike[str],
    actual: NDArray[np.int64],
    predicted: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
) -> None:
    """Draw a confusion matrix as shares of the actual classes. Cells show counts if there are few classes.

    Args:
        path: PNG file to write.
        actual: `(N,)` class numbers.
        predicted: `(N,)` class numbers.
        class_names: Names of the class numbers, at least two.
        title: Title of the plot.

    Raises:
        DataError: A class number has no name.
        MissingDependencyError: matplotlib is not installed.
    """
    count = confusion_counts(actual, predicted, len(class_names))
    share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
    classes = len(class_names)
    step = -(-classes // TICK_LABELS)
    ticks = range(0, classes, step)
    names = [short(class_names[i]) for i in ticks]
    longest = max(map(len, names))
    side_in = min(3.6 + 0.3 * classes + 0.07 * longest, 10)
    drawing, axes = _drawing(side_in + 0.8, side_in, title)
    from matplotlib.colors import PowerNorm

    shown = axes.imshow(share, cmap="Blues", norm=PowerNorm(0.5, 0, 1))  # with a linear scale, confusions look white
    if classes <= LABELED_CLASSES:
        for row, column in np.argwhere(count):
            ink = "white" if share[row, column] > 0.25 else INK
            text = str(count[row, column])
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9 if classes <= 10 else 7)
    size = 9 if classes <= LABELED_CLASSES else 7
    turn = 0 if classes * longest < 6 * side_in else 90
    axes.set_xticks(ticks, names, rotation=turn, fontsize=size, parse_math=False)
    axes.set_yticks(ticks, names, fontsize=size, parse_math=False)
    every = "" if step == 1 else f" (one name in {step})"
    axes.set_xlabel(f"predicted class{every}")
    axes.set_ylabel(f"actual class{every}")
    bar = drawing.colorbar(shown, shrink=0.6, label="share of the actual class")
    bar.outline.set_visible(False)
    _save(path, drawing)


def neighbors_plot(path: str | os.PathLike[str], accuracy_by_k: Mapping[int, Figure], title: str) -> None:
    """Draw k-NN accuracy by k with 95% confidence intervals.

    Args:
        path: PNG file to write.
        accuracy_by_k: Accuracy of each k, at least one. Its interval is optional.
        title: Title of the plot.

    Raises:
        DataError: There is no accuracy.
        MissingDependencyError: matplotlib is not installed.
    """
    if not accuracy_by_k:
        raise DataError("A plot of accuracy by neighbors needs at least one accuracy.")
    drawing, axes = _drawing(6, 4, title)
    neighbors = sorted(accuracy_by_k)
    figures = [accuracy_by_k[k] for k in neighbors]
    values = np.asarray([100 * each.value for each in figures])
    ends = 100 * np.asarray([each.interval or (each.value, each.value) for each in figures])
    bars = np.abs(ends - values[:, None]).T
    axes.errorbar(neighbors, values, bars, color=_LINE, marker="o", markersize=5, linewidth=1.2, capsize=4)
    for k, value, end in zip(neighbors, values, ends[:, 1], strict=True):
        axes.annotate(f"{value:.1f}", (k, end), (0, 4), textcoords="offset points", ha="center", color=INK, fontsize=9)
    axes.set_xscale("log")
    axes.set_xticks(neighbors, [str(k) for k in neighbors])
    axes.set_xticks([], minor=True)
    axes.margins(x=0.1, y=0.15)
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if 0 <= tick <= 100])
    axes.set_ylim(max(low, -1), min(high, 101))  # so that a marker at 0 or 100 % is not cut off
    axes.set_xlabel("neighbors k")
    axes.set_ylabel("accuracy, % (bars: 95% confidence interval)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=_GRAY, linewidth=0.5)
    _save(path, drawing)


def feature_map_plot(
    path: str | os.PathLike[str],
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    title: str,
    seed: int,
) -> None:
    """Draw a t-SNE map of features with one color per class. At most 2,000 images are drawn.

    Args:
        path: PNG file to write.
        features: `(N, D)`. They need not be normalized.
        labels: `(N,)` class numbers.
        class_names: Names of the class numbers.
        title: Title of the plot. The number of images is appended.
        seed: Random seed of the chosen images and of the map.

    Raises:
        DataError: N is below 5, D is below 2, features are not finite, or a class number has no name.
        MissingDependencyError: matplotlib or scikit-learn is not installed.
    """
    check_features("test", features, len(labels))
    check_numbers(labels, len(class_names))
    rows = np.random.default_rng(seed).permutation(len(features))[
        :MAP_ROWS
    ]  # in random order, so that no class covers another
    kept = f"{len(rows):,} of {len(features):,} images" if len(rows) < len(features) else f"all {len(rows):,} images"
    drawing, axes = _drawing(8, 6.4, f"{title}\nt-SNE of cosine distances, {kept}")
    places, numbers = feature_map(features[rows], seed), labels[rows]
    colors, markers = _class_marks(len(class_names))
    for marker in sorted(set(markers)):
        own = np.asarray(markers)[numbers] == marker
        x, y = places[own].T
        axes.scatter(x, y, 14, [colors[i] for i in numbers[own]], marker=marker, alpha=0.8, linewidths=0)
    axes.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    for spine in axes.spines.values():
        spine.set_color(_GRAY)
    if len(class_names) <= LABELED_CLASSES:
        marks = zip(colors, markers, strict=True)
        handles = [axes.scatter([], [], 36, color, marker=marker, linewidths=0) for color, marker in marks]
        legend = drawing.legend(handles, [""] * len(handles), loc="outside right center", frameon=False, fontsize=9)
        for text, name in zip(legend.get_texts(), class_names, strict=True):
            text.set(text=short(name), parse_math=False)
    _save(path, drawing)


def feature_map(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Map features `(N, D)` to points `(N, 2)` by t-SNE of cosine distances (van der Maaten and Hinton 2008).

    If all features are equal, all points are at the origin.

    Raises:
        DataError: N is below 5, or D is below 2.
        MissingDependencyError: scikit-learn is not installed.
    """
    if len(features) < MIN_MAP_ROWS or features.shape[1] < 2:
        raise DataError(f"The features of a map have shape {features.shape}; expected (N, D) with N >= 5 and D >= 2.")
    _require("scikit-learn", "sklearn")
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # a dependency of scikit-learn

    rows = unit(features)
    if np.ptp(rows, axis=0).max() < 1e-6:
        return np.zeros((len(rows), 2), np.float32)  # PCA would divide by zero
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    tsne = TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed)
    with threadpool_limits(1):  # on a busy machine two threads are ten times slower than one
        return np.asarray(tsne.fit_transform(rows), np.float32)


def _class_marks(classes: int) -> tuple[list[str], list[str]]:
    """Color and marker of each class. Without a legend, classes have different hues and the same marker."""
    if classes <= LABELED_CLASSES:
        tens = [divmod(number, len(_MUTED)) for number in range(classes)]
        return [_MUTED[place] for _, place in tens], [_MARKERS[ten] for ten, _ in tens]
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(color) for color in colormaps["turbo"](np.linspace(0, 1, classes))], ["o"] * classes


def _require(library: str, module: str) -> None:
    if find_spec(module) is None:
        raise MissingDependencyError(library, "plots", "draw plots")


def _drawing(width_in: float, height_in: float, title: str) -> tuple[Drawing, Axes]:
    _require("matplotlib", "matplotlib")
    from matplotlib.figure import Figure as Drawing
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=MARGIN_IN, h_pad=MARGIN_IN, compress=True)
    drawing = Drawing((width_in, height_in), dpi=DPI, facecolor="white", layout=layout)
    lines = [textwrap.fill(printable(line), int(9 * width_in)) for line in title.split("\n")]
    drawing.suptitle("\n".join(lines), fontsize=11, parse_math=False)
    return drawing, drawing.add_subplot()


def _save(path: str | os.PathLike[str], drawing: Drawing) -> None:
    with png_file(path) as part:
        drawing.savefig(part, format="png", metadata={"Software": None})
