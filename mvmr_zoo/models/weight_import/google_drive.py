"""The authors' folders on Google Drive, through gdown.

Not run by this project, which cannot reach Google Drive: only what happens before and after the download is tested.
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
    """Address of the authors' folder of a catalog model.

    Raises:
        UnknownModelError: the catalog has no such name.
        ConfigError: it is here already, or its weights do not lie there.
    """
    if name not in CATALOG:
        raise UnknownModelError(not_found(name))
    if (folder := local_folder(name)) is not None:
        raise ConfigError(f"{name} is on this machine already: {folder.path}.")
    if not CATALOG[name].origin.startswith(DRIVE_FOLDERS):
        raise ConfigError(f"{name} does not come from Google Drive; `load({name!r})` gets it.")
    return CATALOG[name].origin


def gdown_library() -> Any:
    """The module `gdown`. Raises MissingDependencyError where it is not installed."""
    try:
        import gdown
    except ImportError as error:
        raise MissingDependencyError("gdown", "fetch", "download from Google Drive") from error
    return gdown


def fetch(name: str, *, keep_projector: bool = False) -> Imported:
    """Download the authors' folder of a catalog model, and import the weights file in it.

    A download that was cut goes on where it stopped. The files are removed once they are imported.

    Raises:
        MissingDependencyError: gdown is not installed.
        HubError: the download failed.
        CheckpointError: the folder holds no weights file, or several; they stay, to choose from.
    """
    target = zoo_home() / ".downloads" / name
    imported = import_weights(the_only(_download(name, target), name), name, keep_projector=keep_projector)
    shutil.rmtree(target)
    return imported


def _download(name: str, target: Path) -> list[Path]:
    gdown = gdown_library()
    address = authors_folder(name)
    target.mkdir(parents=True, exist_ok=True)
    try:
        files = gdown.download_folder(url=address, output=str(target), resume=True, timeout=60, retries=3)
    except Exception as error:  # gdown's own tree, requests' and OSError
        if not any(target.iterdir()):
            target.rmdir()
        raise HubError(
            f"{address} could not be downloaded ({one_line(error)}). Open it in a browser, download the weights, and "
            f"run `mvmr-zoo import FILE --as {name}`."
        ) from None
    return [Path(file) for file in files or []]


def the_only(files: list[Path], name: str) -> Path:
    """The one weights file among some files.

    Raises:
        CheckpointError: there is none, or several; lists them with the commands that import each.
    """
    weights = sorted(file for file in files if file.suffix in _SUFFIXES)
    if len(weights) == 1:
        return weights[0]
    if not weights:
        listed = ", ".join(file.name for file in files) or "nothing"
        raise CheckpointError(f"The authors' folder of {name} holds {listed}; expected a weights file.")
    commands = " | ".join(f"mvmr-zoo import '{file}' --as {name}" for file in weights)
    raise CheckpointError(f"The authors' folder of {name} holds {len(weights)} weights files; choose one: {commands}")
