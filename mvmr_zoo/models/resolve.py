"""From a name to a checkpoint folder: path, package, zoo on this machine, the Hub's cache, the Hub."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from mvmr_zoo.architectures.effnet_lite import SIZES_PX
from mvmr_zoo.checkpoint import CONFIG_FILE, Checkpoint, Location, Pin, check_digest, read_checkpoint
from mvmr_zoo.errors import CheckpointError, ConfigError, HubError, UnknownModelError, hint
from mvmr_zoo.models.catalog import CATALOG, DEFAULT_MODEL, DRIVE_FOLDERS, RETIRED_MODELS
from mvmr_zoo.models.exported import is_exported
from mvmr_zoo.models.hub import HubSpec, hub_organization, is_hub_spec, parse_hub_spec, pull
from mvmr_zoo.models.paths import zoo_folder, zoo_home, zoo_names

_TORCHVISION = ("torchvision:resnet18", "torchvision:resnet50")
"""Names to suggest in place of a bare architecture."""


class Found(NamedTuple):
    """A checkpoint and how it was found.

    `spec` finds it again from any working directory; `name` is the catalog's or the zoo's, None for a path or a
    repository, whatever the folder calls itself.
    """

    checkpoint: Checkpoint
    location: Location
    spec: str
    name: str | None = None


class LocalFolder(NamedTuple):
    """A folder on this machine, and whether it is the package's or the zoo's."""

    path: Path
    location: Location


def find(spec: str) -> Found:
    """The checkpoint folder of a spec.

    Raises:
        UnknownModelError: nothing answers to it; lists what was tried and what to do.
        CheckpointError: the folder is damaged, or not the one the catalog pins.
        HubError: the Hub cannot be reached, or refuses.
    """
    if spec.startswith("local-dir:"):
        return _at_path(spec.removeprefix("local-dir:"))
    if is_hub_spec(spec):
        return _from_hub(parse_hub_spec(spec))
    pin = CATALOG[spec].pin if spec in CATALOG else None
    if os.path.exists(Path(spec) / CONFIG_FILE):
        _check_pinned(Path(spec), pin)
        return _at_path(spec)
    folder = local_folder(spec)
    if folder is not None:
        if folder.location == "zoo":
            _check_pinned(folder.path, pin)
        return Found(read_checkpoint(folder.path), folder.location, spec, spec)
    if pin is not None:
        return _from_hub(HubSpec(pin.repo, pin.revision), sha256=pin.sha256, name=spec)
    organization = hub_organization()
    if spec in CATALOG and organization:
        try:
            return _from_hub(parse_hub_spec(f"{organization}/{spec}"), name=spec)
        except (UnknownModelError, HubError, ConfigError) as error:
            raise UnknownModelError(f"{not_found(spec)} The Hub: {error}") from None
    raise UnknownModelError(not_found(spec))


def find_checkpoint(spec: str) -> Checkpoint:
    """The checkpoint of a spec; see `find`."""
    return find(spec).checkpoint


def local_folder(name: str) -> LocalFolder | None:
    """The folder of a model in the package or in the zoo on this machine."""
    bundled = package_folder(name)
    if bundled is not None:
        return LocalFolder(bundled, "package")
    try:
        folder = zoo_folder(name)
    except ConfigError:
        return None
    return LocalFolder(folder, "zoo") if (folder / CONFIG_FILE).exists() else None


def package_folder(name: str) -> Path | None:
    """The folder of a model that the wheel carries."""
    if name not in CATALOG or CATALOG[name].location != "package":
        return None
    folder = Path(str(resources.files("mvmr_zoo.models"))) / "bundled" / name
    return folder if (folder / CONFIG_FILE).exists() else None


def not_found(spec: str) -> str:
    """The message for a spec that names no model: the places tried, the closest names, and what to do."""
    if spec in RETIRED_MODELS:
        return (
            f"{spec} was in earlier versions of mvmr-zoo and is not in this one. `mvmr-zoo index reindex` moves a "
            f"library that was made with it to {DEFAULT_MODEL}. The ids of photos are kept."
        )
    tried = f"a folder {spec!r} with a {CONFIG_FILE}, the package, the zoo {zoo_home()}"
    if spec in CATALOG and CATALOG[spec].origin.startswith(DRIVE_FOLDERS):
        tried += "" if os.environ.get("MVMR_HUB_ORG") else ", and not the Hub, since MVMR_HUB_ORG names no organization"
        return (
            f"{spec!r} is in the catalog, but its weights are not on this machine (tried {tried}). Its authors "
            f"publish them, stating no license, at {CATALOG[spec].origin} . Download the file there and run "
            f"`mvmr-zoo import FILE --as {spec}`; or `mvmr-zoo fetch {spec}` does both."
        )
    if Path(spec).is_file():
        return f"{spec} is a file, not a checkpoint folder. `mvmr-zoo import {spec} --as NAME` makes one of weights."
    known = [*CATALOG, *zoo_names(), *(f"effnet-lite:{number}" for number in SIZES_PX), *_TORCHVISION]
    return (
        f"No model is named {spec!r} (tried {tried}).{hint(spec, known)} `mvmr-zoo models` lists the catalog. "
        "effnet-lite:NUMBER, open_clip:ARCH/TAG, timm:NAME, torchvision:NAME and onnx:FILE name other encoders."
    )


def _check_pinned(folder: Path, pin: Pin | None) -> None:
    if pin is not None:
        advice = "Name the folder as local-dir:PATH, or import it under another name."
        check_digest(folder / CONFIG_FILE, pin.sha256, said_by="the catalog pins", advice=advice)


def exported_folder(spec: str) -> Path | None:
    """The folder that `mvmr-export` wrote, where a spec is the path of one; a catalog's name never is."""
    if spec in CATALOG:
        return None
    path = Path(spec.removeprefix("local-dir:"))
    return path if is_exported(path) else None


def _at_path(path: str) -> Found:
    if is_exported(path):
        raise CheckpointError(
            f"{path} is an exported folder, not a checkpoint. `load` runs it and `mvmr-export check {path}` checks it."
        )
    checkpoint = read_checkpoint(path)
    return Found(checkpoint, "path", os.fspath(checkpoint.folder.resolve()))


def _from_hub(where: HubSpec, *, sha256: str | None = None, name: str | None = None) -> Found:
    checkpoint = pull(where, sha256=sha256)
    return Found(checkpoint, "hub", str(HubSpec(where.repo, checkpoint.folder.name)), name)
