"""The losses, as `nn.Module`s and pure functions on tensors.

distance_correlation   distance correlation and covariance of two batches
mvmr                   MVMRLoss, the paper's loss
regression             DistillationLoss: MVMRLoss, regression onto a teacher, and similarities to a memory bank
"""

from training.loss_options import Estimator, Sign
from training.losses.distance_correlation import distance_correlation, distance_covariance
from training.losses.mvmr import VIEWS, LossTerms, MVMRLoss
from training.losses.regression import DistillationLoss

__all__ = [
    "VIEWS",
    "DistillationLoss",
    "Estimator",
    "LossTerms",
    "MVMRLoss",
    "Sign",
    "distance_correlation",
    "distance_covariance",
]
