"""Download the weights of the paper's authors from Google Drive with gdown.

The tests use a stub for gdown. They cover only the steps before and after the download.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mvmr_zoo.errors import CheckpointError, ConfigError, HubError, MissingDependencyError, UnknownModelError, one_line
from mvmr_zoo.models.catalog import CATALOG, DRIVE_FOLDERS
from mvmr_zoo.models.paths import zoo_home
from mvmr_zoo.models.resolve import local_folder, not_found
from mvmr_zoo.models.weight_import.importing import Imported, import_weights

_SUFFIXES = (".pth", ".ckpt", ".pt", ".safetensors")


def authors_folder(name: str) -> str:
    """The address of the Google Drive folder of a catalog model.

    Raises:
        UnknownModelError: The catalog has no model of this name.
        ConfigError: The model is already on this machine, or its weights are not on Google Drive.
    """
    if name not in CATALOG:
        raise UnknownModelError(not_found(name))
    if (folder := local_folder(name)) is not None:
        raise ConfigError(f"{name} is already on this machine: {folder.path}.")
    if not CATALOG[name].origin.startswith(DRIVE_FOLDERS):
        pin = CATALOG[name].pin
        place = f"{name} is published at hf-hub:{pin.repo}" if pin else f"The weights of {name} are not on Google Drive"
        raise ConfigError(f"{place}. Load the model with `load({name!r})`.")
    return CATALOG[name].origin


def gdown_library() -> Any:
    """Import and return the module `gdown`. Raises MissingDependencyError if it is not installed."""
    try:
        import gdown
    except ImportError as error:
        raise MissingDependencyError("gdown", "fetch", "download from Google Drive") from error
    return gdown


def fetch(name: str, *, keep_projector: bool = False) -> Imported:
    """Download the Google Drive folder of a catalog model and import its weights file.

    An interrupted download is resumed. The downloaded files are removed after the import.

    Args:
        name: Name of the model in the catalog.
        keep_projector: Keep the projector weights, to continue training.

    Raises:
        UnknownModelError: The catalog has no model of this name.
        MissingDependencyError: gdown is not installed.
        ConfigError: The model is already on this machine, or its weights are not on Google Drive.
        HubError: The download failed.
        CheckpointError: The folder has no weights file or several. Several files are kept, so that you can choose one.
    """
    target = zoo_home() / ".downloads" / name
    if local_folder(name) is not None:  # an earlier process may have been killed after the import
        shutil.rmtree(target, ignore_errors=True)
    imported = import_weights(only_weights_file(_download(name, target), name), name, keep_projector=keep_projector)
    shutil.rmtree(target)
    return imported


def _download(name: str, target: Path) -> list[Path]:
    gdown = gdown_library()
    address = authors_folder(name)
    target.mkdir(parents=True, exist_ok=True)
    try:
        files = gdown.download_folder(url=address, output=str(target), resume=True, timeout=60, retries=3)
    except Exception as error:  # errors of gdown, requests and the system
        if not any(target.iterdir()):
            target.rmdir()
        raise HubError(
            f"{address} could not be downloaded ({one_line(error)}). Open it in a browser, download the weights, and "
            f"run `mvmr-zoo import FILE --as {name}`."
        ) from None
    return [Path(file) for file in files or []]


def only_weights_file(files: list[Path], name: str) -> Path:
    """The weights file among the downloaded files.

    Args:
        files: Downloaded files.
        name: Name of the model, for messages.

    Raises:
        CheckpointError: There is no weights file, or there are several. The message lists the command to import each.
    """
    weights = sorted(file for file in files if file.suffix in _SUFFIXES)
    if len(weights) == 1:
        return weights[0]
    if not weights:
        listed = ", ".join(file.name for file in files) or "nothing"
        raise CheckpointError(f"The Google Drive folder of {name} contains {listed}; expected a weights file.")
    commands = " | ".join(f"mvmr-zoo import '{file}' --as {name}" for file in weights)
    raise CheckpointError(
        f"The Google Drive folder of {name} contains {len(weights)} weights files. Import one of them: {commands}"
    )
