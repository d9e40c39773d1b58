"""Evaluation protocols, one file each: named, versioned, never tuned on the test split.

knn, linear, linear_sgd, semi, voc07, retrieval   the protocols, as functions of features and labels
logistic, average_precision, labels   parts of the protocols
pixels      raw pixels, a baseline
views       crops of an image
cache       cached features
bootstrap   confidence intervals
protocols   the table of protocols, each for an encoder and a data set
run         evaluate an encoder, compare two
report, markdown, machine   reports as JSON and Markdown
attach      write figures into a checkpoint folder
draw, plots, retrieval_sheet, captions   pictures
"""

from __future__ import annotations

from mvmr_zoo.evaluate.attach import attach_report, attachable, card_figures
from mvmr_zoo.evaluate.bootstrap import Difference, Measured, differences, figures, means_of
from mvmr_zoo.evaluate.cache import HashedSplits, hash_splits
from mvmr_zoo.evaluate.draw import draw
from mvmr_zoo.evaluate.knn import NEIGHBORS, TEMPERATURE, knn, knn_by_k
from mvmr_zoo.evaluate.labels import Answers
from mvmr_zoo.evaluate.linear import HELD_OUT, STRENGTHS, LinearResult, linear
from mvmr_zoo.evaluate.linear_sgd import LinearSgdResult, linear_sgd
from mvmr_zoo.evaluate.machine import machine
from mvmr_zoo.evaluate.markdown import read_reports, report_markdown, table_markdown, write_table
from mvmr_zoo.evaluate.pixels import RAW_PIXELS, raw_pixels
from mvmr_zoo.evaluate.protocols import PROTOCOLS, Options
from mvmr_zoo.evaluate.report import Report, read_report, write_report
from mvmr_zoo.evaluate.retrieval import RetrievalResult, retrieval
from mvmr_zoo.evaluate.run import Compared, Comparison, Evaluation, compare, evaluate, evaluate_all, measure
from mvmr_zoo.evaluate.semi import SemiResult, semi
from mvmr_zoo.evaluate.voc07 import VocResult, voc07

__all__ = [
    "HELD_OUT",
    "NEIGHBORS",
    "PROTOCOLS",
    "RAW_PIXELS",
    "STRENGTHS",
    "TEMPERATURE",
    "Answers",
    "Compared",
    "Comparison",
    "Difference",
    "Evaluation",
    "HashedSplits",
    "LinearResult",
    "LinearSgdResult",
    "Measured",
    "Options",
    "Report",
    "RetrievalResult",
    "SemiResult",
    "VocResult",
    "attach_report",
    "attachable",
    "card_figures",
    "compare",
    "differences",
    "draw",
    "evaluate",
    "evaluate_all",
    "figures",
    "hash_splits",
    "knn",
    "knn_by_k",
    "linear",
    "linear_sgd",
    "machine",
    "means_of",
    "measure",
    "raw_pixels",
    "read_report",
    "read_reports",
    "report_markdown",
    "retrieval",
    "semi",
    "table_markdown",
    "voc07",
    "write_report",
    "write_table",
]
