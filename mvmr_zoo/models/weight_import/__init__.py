"""Other people's weight files as checkpoint folders: the paper authors', torchvision's and timm's ResNets.

parts        the tensors of a file as encoder, projector and classifier
class_names  names of the classes that a classifier of a known data set tells apart
importing    the checkpoint folder made of them
fetch        the authors' folder on Google Drive
"""

from __future__ import annotations

from mvmr_zoo.models.weight_import.google_drive import authors_folder, fetch, gdown_library
from mvmr_zoo.models.weight_import.importing import Imported, import_weights

__all__ = ["Imported", "authors_folder", "fetch", "gdown_library", "import_weights"]
