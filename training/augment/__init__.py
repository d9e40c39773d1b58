"""Augmented views of a photo: every random draw is a pure function of one seed an image.

policies    AugmentConfig, Policy, and the literal table of what each policy draws from
draws       the draws themselves, shared by the two ways of carrying them out:
per_image   on one photo, in a worker
batched     on a whole batch, on the device
"""

from training.augment.batched import augment_batch
from training.augment.per_image import augment_image
from training.augment.policies import POLICIES, AugmentConfig, Policy

__all__ = ["POLICIES", "AugmentConfig", "Policy", "augment_batch", "augment_image"]
