"""The targets that the losses compare embeddings with.

representations       fixed representations of images
teacher               a teacher's embeddings
principal_components  the space of one or several teachers' embeddings
cache                 rows that are computed once and kept on disk
build                 Targets: the targets of a run
"""

from training.targets.build import Targets, representation_targets, teacher_targets
from training.targets.principal_components import TeacherSpace, fit_space
from training.targets.teacher import Teacher, Teachers

__all__ = ["Targets", "Teacher", "TeacherSpace", "Teachers", "fit_space", "representation_targets", "teacher_targets"]
