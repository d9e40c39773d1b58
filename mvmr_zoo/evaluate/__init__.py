"""Evaluation protocols, one file each: named, versioned, never tuned on the test split."""

from mvmr_zoo.evaluate.knn import KnnResult, knn

__all__ = ["KnnResult", "knn"]
