"""Find, load, save and verify models by name, including models on the Hub and encoders from other projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mvmr_zoo._io import lazy_import
from mvmr_zoo.models.archive import bundle, unbundle
from mvmr_zoo.models.catalog import (
    BUNDLED_MODEL,
    CATALOG,
    DEFAULT_MODEL,
    HUB_CATALOG,
    hub_catalog_text,
    read_hub_catalog,
)
from mvmr_zoo.models.describe import damaged_models, list_models, model_info
from mvmr_zoo.models.loading import Device, load
from mvmr_zoo.models.paths import default_library_path, zoo_home
from mvmr_zoo.models.resolve import find, find_checkpoint, find_folder, local_folder

if TYPE_CHECKING:
    from mvmr_zoo.models.save import save_encoder
    from mvmr_zoo.models.verify import verify_checkpoint

__all__ = [
    "BUNDLED_MODEL",
    "CATALOG",
    "DEFAULT_MODEL",
    "HUB_CATALOG",
    "Device",
    "bundle",
    "damaged_models",
    "default_library_path",
    "find",
    "find_checkpoint",
    "find_folder",
    "hub_catalog_text",
    "list_models",
    "load",
    "local_folder",
    "model_info",
    "read_hub_catalog",
    "save_encoder",
    "unbundle",
    "verify_checkpoint",
    "zoo_home",
]

_LAZY = {
    "save_encoder": "mvmr_zoo.models.save",
    "verify_checkpoint": "mvmr_zoo.models.verify",
}
"""Names whose modules import PyTorch or another large library. They are imported on first use."""

__getattr__ = lazy_import(__name__, _LAZY)
