"""Draw the pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.evaluate.cache import features_of_test
from mvmr_zoo.evaluate.knn import NEIGHBORS
from mvmr_zoo.evaluate.plots import confusion_plot, feature_map_plot, neighbors_plot
from mvmr_zoo.evaluate.protocols import OTHER_NEIGHBORS
from mvmr_zoo.evaluate.retrieval_sheet import retrieval_sheet

if TYPE_CHECKING:
    from mvmr_zoo.evaluate.run import Evaluation


def draw(evaluation: Evaluation, path: Path) -> list[Path]:
    """Draw an evaluation as PNG files next to its report, and return their paths.

    Classifiers have a confusion matrix, k-NN a plot of accuracy by k, retrieval a sheet of hits and a map of the
    features. VOC07 has no pictures.

    Args:
        evaluation: Result of `evaluate`.
        path: File of the report. The names of the pictures begin with its name.

    Raises:
        MissingDependencyError: matplotlib or scikit-learn is not installed.
    """
    report, model, splits, outcome = evaluation
    test, drawn = splits.test, []

    def place(kind: str) -> Path:
        drawn.append(path.with_name(f"{path.stem}-{kind}.png"))
        return drawn[-1]

    title = f"{report.protocol} of {report.model} on {report.data}"
    if outcome.answers is not None:
        confusion_plot(place("confusions"), test.labels, outcome.answers, test.class_names, title)
    if report.protocol == "knn-v1":
        names = {k: "" if k == NEIGHBORS else f"/k={k}" for k in (NEIGHBORS, *OTHER_NEIGHBORS)}
        by_k = {k: report.figures[f"{report.data}/knn-v1{suffix}"] for k, suffix in names.items()}
        neighbors_plot(place("neighbors"), by_k, title)
    if report.protocol == "retrieval-v1":
        features = features_of_test(model, splits)
        retrieval_sheet(place("hits"), test, features, test.labels, report.seed)
        feature_map_plot(place("map"), features, test.labels, test.class_names, title, report.seed)
    return drawn
