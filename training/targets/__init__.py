"""The targets that the losses compare embeddings with.

representations   fixed representations of images
teacher           a teacher's embeddings
cache             rows that are computed once and kept on disk
build             Targets: the targets of a run
"""

from training.targets.build import Targets, representation_targets, teacher_targets
from training.targets.teacher import Teacher

__all__ = ["Targets", "Teacher", "representation_targets", "teacher_targets"]
