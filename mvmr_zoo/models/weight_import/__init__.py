"""Import weight files as checkpoint folders: those of the paper's authors, and ResNets of torchvision and timm.

layouts       splits the tensors of a file into encoder, projector and classifier
importing     writes the checkpoint folder
google_drive  downloads the authors' weights from Google Drive
"""

from __future__ import annotations

from mvmr_zoo.models.weight_import.google_drive import authors_folder, fetch, gdown_library
from mvmr_zoo.models.weight_import.importing import Imported, import_weights

__all__ = ["Imported", "authors_folder", "fetch", "gdown_library", "import_weights"]
