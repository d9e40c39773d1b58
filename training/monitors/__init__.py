"""What is watched while training. The test split is never read.

health    every loss term, dCor beside its value under independence, spread of the embeddings, collapse
knn       k-NN accuracy on held-out images
linear    a linear head trained beside the encoder, on detached features
"""

from training.monitors.health import Health
from training.monitors.knn import KnnMonitor, image_features, knn_accuracy, knn_every
from training.monitors.linear import OnlineLinear

__all__ = ["Health", "KnnMonitor", "OnlineLinear", "image_features", "knn_accuracy", "knn_every"]
