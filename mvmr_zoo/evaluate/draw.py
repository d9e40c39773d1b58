"""The pictures of one evaluation: which of them its protocol has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo.evaluate.cache import cached_features
from mvmr_zoo.evaluate.knn import NEIGHBORS
from mvmr_zoo.evaluate.plots import confusion_plot, feature_map_plot, neighbors_plot
from mvmr_zoo.evaluate.protocols import OTHER_NEIGHBORS
from mvmr_zoo.evaluate.retrieval_sheet import retrieval_sheet

if TYPE_CHECKING:
    from mvmr_zoo.evaluate.run import Evaluation


def draw(evaluation: Evaluation, path: Path) -> list[Path]:
    """Draw an evaluation beside its report, and return the PNG files: a classifier's confusions, k-NN's accuracy by
    k, and for retrieval a sheet of hits and a map of the features. VOC07 has none.

    Args:
        evaluation: as `evaluate` gives it.
        path: of its report; the files are named after it.

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
        features = cached_features(model, test)
        retrieval_sheet(place("hits"), test, features, test.labels, report.seed)
        feature_map_plot(place("map"), features, test.labels, test.class_names, title, report.seed)
    return drawn
