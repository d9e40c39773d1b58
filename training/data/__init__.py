"""The input of a training step: images, their order and their views.

augmentation   policies, and the random draws of a view
views          a view's crop and color
sampler        the whole run as a list of batches
dataset        one photo's views and cached targets
subsets        training and held-out images, and fixed subsets for few labels
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import
from training.data.augmentation import POLICIES, AugmentConfig, Policy, draw_view
from training.data.sampler import Draw, Plan, RemainingBatches, SizeStage
from training.data.subsets import Split, label_digest, stratified_split, subset_file

if TYPE_CHECKING:
    from training.data.dataset import (
        Example,
        Source,
        TargetRows,
        ViewDataset,
        cached_view,
        mix_share,
        plain_view,
        read_for_views,
        view_of,
    )
    from training.data.views import augment_image, color_batch, color_row, crop_image, to_tensor

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
    "color_row",
    "crop_image",
    "draw_view",
    "label_digest",
    "mix_share",
    "plain_view",
    "read_for_views",
    "stratified_split",
    "subset_file",
    "to_tensor",
    "view_of",
]

_LAZY = {
    "Example": "training.data.dataset",
    "Source": "training.data.dataset",
    "TargetRows": "training.data.dataset",
    "ViewDataset": "training.data.dataset",
    "augment_image": "training.data.views",
    "cached_view": "training.data.dataset",
    "color_batch": "training.data.views",
    "color_row": "training.data.views",
    "crop_image": "training.data.views",
    "mix_share": "training.data.dataset",
    "plain_view": "training.data.dataset",
    "read_for_views": "training.data.dataset",
    "to_tensor": "training.data.views",
    "view_of": "training.data.dataset",
}
"""Names whose modules import PyTorch. They are imported on first use, so that the configuration needs none."""

__getattr__ = lazy_import(__name__, _LAZY)
