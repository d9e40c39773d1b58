"""Evaluation protocols, one file each: named, versioned, never tuned on the test split.

knn, linear, voc07, retrieval   the protocols, on features and labels alone
logistic, average_precision, labels   what they are made of
pixels   the baseline every encoder must beat
cache    features computed once
run      a protocol on an encoder and a data set
report   what was measured, as a file
"""

from mvmr_zoo.evaluate.knn import KnnResult, knn
from mvmr_zoo.evaluate.linear import LinearResult, linear
from mvmr_zoo.evaluate.pixels import raw_pixels
from mvmr_zoo.evaluate.report import Report, mean, read_report, share, write_report
from mvmr_zoo.evaluate.retrieval import RetrievalResult, retrieval
from mvmr_zoo.evaluate.run import PROTOCOLS, evaluate
from mvmr_zoo.evaluate.voc07 import VocResult, voc07

__all__ = [
    "PROTOCOLS",
    "KnnResult",
    "LinearResult",
    "Report",
    "RetrievalResult",
    "VocResult",
    "evaluate",
    "knn",
    "linear",
    "mean",
    "raw_pixels",
    "read_report",
    "retrieval",
    "share",
    "voc07",
    "write_report",
]
