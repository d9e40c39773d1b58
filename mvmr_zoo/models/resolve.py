"""Resolve a model spec to a checkpoint folder: a path, the package, the zoo, the cache of the Hub, or the Hub."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from mvmr_zoo._io import sweep_leftovers
from mvmr_zoo.architectures.effnet_lite import SIZES_PX
from mvmr_zoo.checkpoint import CONFIG_FILE, Checkpoint, Location, Pin, check_digest, read_checkpoint
from mvmr_zoo.errors import CheckpointError, ConfigError, HubError, UnknownModelError, hint
from mvmr_zoo.models.catalog import CATALOG, DEFAULT_MODEL, DRIVE_FOLDERS, RETIRED_MODELS
from mvmr_zoo.models.exported import is_exported
from mvmr_zoo.models.hub import HubSpec, hub_organization, is_hub_spec, parse_hub_spec, pull
from mvmr_zoo.models.paths import zoo_folder, zoo_home, zoo_names

_TORCHVISION = ("torchvision:resnet18", "torchvision:resnet50")
"""Specs to suggest when only an architecture is given."""


class Found(NamedTuple):
    """A checkpoint and where it was found.

    Args:
        checkpoint: The checkpoint.
        location: Where it is stored.
        spec: A spec that finds it from any working directory.
        name: Its name in the catalog or the zoo. None for a path or a repository, even if its `config.json` has a name.
    """

    checkpoint: Checkpoint
    location: Location
    spec: str
    name: str | None = None


class LocalFolder(NamedTuple):
    """A model folder on this machine, and whether it is in the package, in the zoo or at a path that was given."""

    path: Path
    location: Location


def find(spec: str) -> Found:
    """Find the checkpoint of a spec.

    Args:
        spec: A catalog or zoo name, a path, `local-dir:PATH` or `hf-hub:ORG/NAME@REVISION`.

    Raises:
        UnknownModelError: There is no such model. The message lists the searched locations and what to do.
        CheckpointError: The folder is damaged, or differs from the one that the catalog pins.
        HubError: The Hub cannot be reached, or refuses the request.
    """
    pin = CATALOG[spec].pin if spec in CATALOG else None
    folder = find_folder(spec)
    if folder is not None:
        if folder.location != "package":
            _check_pinned(folder.path, pin)
        checkpoint = read_checkpoint(folder.path)
        if folder.location == "path":
            return Found(checkpoint, "path", os.fspath(folder.path.resolve()))
        return Found(checkpoint, folder.location, spec, spec)
    if is_hub_spec(spec):
        return _from_hub(parse_hub_spec(spec))
    if pin is not None:
        return _from_hub(HubSpec(pin.repo, pin.revision), sha256=pin.sha256, name=spec)
    organization = hub_organization()
    if spec in CATALOG and organization:
        try:
            return _from_hub(parse_hub_spec(f"{organization}/{spec}"), name=spec)
        except (UnknownModelError, HubError, ConfigError) as error:
            raise UnknownModelError(f"{not_found(spec)} Error from the Hub: {error}") from None
    raise UnknownModelError(not_found(spec))


def find_folder(spec: str) -> LocalFolder | None:
    """The checkpoint folder of a spec on this machine, without reading it. None if there is none outside the Hub.

    Raises:
        CheckpointError: The folder is an exported folder.
    """
    if is_hub_spec(spec):
        return None
    path = spec.removeprefix("local-dir:")
    if path == spec and not _exists(Path(path), CONFIG_FILE):
        return local_folder(spec)
    if is_exported(path):
        raise CheckpointError(
            f"{path} is an exported folder, not a checkpoint. Use `load` to run it, or `mvmr-export check {path}` to "
            "check it."
        )
    return LocalFolder(Path(path), "path")


def find_checkpoint(spec: str) -> Checkpoint:
    """Find the checkpoint of a spec. See `find`."""
    return find(spec).checkpoint


def local_folder(name: str) -> LocalFolder | None:
    """The folder of a model in the package or in the zoo, or None if it is in neither."""
    bundled = package_folder(name)
    if bundled is not None:
        return LocalFolder(bundled, "package")
    try:
        folder = zoo_folder(name)
    except ConfigError:
        return None
    return LocalFolder(folder, "zoo") if _exists(folder, CONFIG_FILE) else None


def package_folder(name: str) -> Path | None:
    """The folder of a model that is part of the package, or None if the package does not have it."""
    if name not in CATALOG or CATALOG[name].location != "package":
        return None
    folder = Path(str(resources.files("mvmr_zoo.models"))) / "bundled" / name
    return folder if (folder / CONFIG_FILE).exists() else None


def not_found(spec: str) -> str:
    """The message for an unknown model: the searched locations, the closest names, and what to do."""
    if spec in RETIRED_MODELS:
        return (
            f"{spec} was part of earlier versions of mvmr-zoo and is no longer available. Run `mvmr-zoo index reindex` "
            f"to switch a library that uses it to {DEFAULT_MODEL}. Photo ids are kept."
        )
    searched = f"a folder {spec!r} with a {CONFIG_FILE}, the package and the local model folder {zoo_home()}"
    if spec in CATALOG and CATALOG[spec].origin.startswith(DRIVE_FOLDERS):
        hub = "" if os.environ.get("MVMR_HUB_ORG") else " The Hub was not searched, because MVMR_HUB_ORG is not set."
        return (
            f"{spec!r} is in the catalog, but its weights are not on this machine. Searched {searched}.{hub} The "
            f"authors publish the weights without a license at {CATALOG[spec].origin}. Run `mvmr-zoo fetch {spec}` to "
            f"download and import them, or download the file and run `mvmr-zoo import FILE --as {spec}`."
        )
    if Path(spec).is_file():
        return f"{spec} is a file, not a checkpoint folder. Run `mvmr-zoo import {spec} --as NAME` to import weights."
    known = [*CATALOG, *zoo_names(), *(f"effnet-lite:{number}" for number in SIZES_PX), *_TORCHVISION]
    return (
        f"No model is named {spec!r}. Searched {searched}.{hint(spec, known)} Run `mvmr-zoo models` to list the "
        "catalog. For encoders from other projects, use effnet-lite:NUMBER, open_clip:ARCH/TAG, timm:NAME, "
        "torchvision:NAME or onnx:FILE."
    )


def _check_pinned(folder: Path, pin: Pin | None) -> None:
    if pin is not None:
        advice = "Load the folder as local-dir:PATH, or import it under another name."
        check_digest(folder / CONFIG_FILE, pin.sha256, said_by="the catalog expects", advice=advice)


def exported_folder(spec: str) -> Path | None:
    """The exported folder that a spec is the path of, or None. A catalog name is never a path."""
    if spec in CATALOG:
        return None
    path = Path(spec.removeprefix("local-dir:"))
    return path if _exists(path) and is_exported(path) else None


def _exists(folder: Path, file: str = "") -> bool:
    """Whether a folder, or a file in it, exists. A folder is put back if a killed process has moved it away."""
    if not os.path.lexists(folder):
        sweep_leftovers(folder.parent)
    return os.path.exists(folder / file)


def _from_hub(where: HubSpec, *, sha256: str | None = None, name: str | None = None) -> Found:
    checkpoint = pull(where, sha256=sha256)
    return Found(checkpoint, "hub", str(HubSpec(where.repo, checkpoint.folder.name)), name)
