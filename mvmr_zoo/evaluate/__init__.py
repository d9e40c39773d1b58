"""Evaluation protocols, one file each: named, versioned, never tuned on the test split."""

from mvmr_zoo.evaluate.knn import KnnResult, knn
from mvmr_zoo.evaluate.pixels import raw_pixels

__all__ = ["KnnResult", "knn", "raw_pixels"]
