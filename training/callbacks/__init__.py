"""Measurements and progress during training. The test split is never read.

health     loss terms, dCor and its value for independent batches, spread of the embeddings, collapse
knn        k-NN accuracy on held-out images
linear     a linear head trained beside the encoder, on detached features
ema        a moving average of the weights
progress   a bar on a terminal, or lines
"""

from training.callbacks.ema import Ema, averaged_module
from training.callbacks.health import Health
from training.callbacks.knn import KnnMonitor, image_features, knn_accuracy, knn_every
from training.callbacks.linear import OnlineLinear
from training.callbacks.log import Every, LogValues
from training.callbacks.progress import Progress

__all__ = [
    "Ema",
    "Every",
    "Health",
    "KnnMonitor",
    "LogValues",
    "OnlineLinear",
    "Progress",
    "averaged_module",
    "image_features",
    "knn_accuracy",
    "knn_every",
]
