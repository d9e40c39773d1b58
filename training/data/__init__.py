"""The input of a training step: images, their order and their views.

augmentation   policies, and the random draws of a view
views          a view's crop and color
sampler        the whole run as a list of batches
dataset        one photo's views and cached targets
subsets        training and held-out images, and fixed subsets for few labels
"""

from training.data.augmentation import POLICIES, AugmentConfig, Policy, draw_view
from training.data.dataset import Example, Source, TargetRows, ViewDataset, cached_view, plain_view, read_for_views
from training.data.sampler import Draw, Plan, RemainingBatches, SizeStage
from training.data.subsets import Split, label_digest, stratified_split, subset_file
from training.data.views import augment_image, color_batch, crop_image, to_tensor

__all__ = [
    "POLICIES",
    "AugmentConfig",
    "Draw",
    "Example",
    "Plan",
    "Policy",
    "RemainingBatches",
    "SizeStage",
    "Source",
    "Split",
    "TargetRows",
    "ViewDataset",
    "augment_image",
    "cached_view",
    "color_batch",
    "crop_image",
    "draw_view",
    "label_digest",
    "plain_view",
    "read_for_views",
    "stratified_split",
    "subset_file",
    "to_tensor",
]
