"""Evaluation protocols, one file each: named, versioned, never tuned on the test split.

knn      weighted k nearest neighbours
pixels   the baseline every encoder must beat
report   what a protocol measured, as a file
"""

from mvmr_zoo.evaluate.knn import KnnResult, knn
from mvmr_zoo.evaluate.pixels import raw_pixels
from mvmr_zoo.evaluate.report import Report, read_report, share, write_report

__all__ = ["KnnResult", "Report", "knn", "raw_pixels", "read_report", "share", "write_report"]
