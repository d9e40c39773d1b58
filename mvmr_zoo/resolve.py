"""From a name to a checkpoint folder: path, package, zoo on this machine, the Hub's cache, the Hub."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from mvmr_zoo.card import Location
from mvmr_zoo.catalog import CATALOG, closest_names
from mvmr_zoo.checkpoint import CONFIG_FILE, Checkpoint, read_checkpoint
from mvmr_zoo.errors import CheckpointError, ConfigError, UnknownModelError
from mvmr_zoo.home import zoo_folder, zoo_home, zoo_names
from mvmr_zoo.hub import HubSpec, is_hub_spec, parse_hub_spec, pull


class Found(NamedTuple):
    """A checkpoint, where it was found, and what finds it again from any working directory."""

    checkpoint: Checkpoint
    location: Location
    spec: str


def find(spec: str) -> Found:
    """The checkpoint folder of a spec.

    Raises:
        UnknownModelError: nothing answers to it; lists what was tried and what to do.
        CheckpointError: the folder is damaged, or not the one the catalogue pins.
        HubError: the Hub cannot be reached, or refuses.
    """
    if spec.startswith("local-dir:"):
        return _at_path(spec.removeprefix("local-dir:"))
    if is_hub_spec(spec):
        return _from_hub(parse_hub_spec(spec))
    if os.path.exists(Path(spec) / CONFIG_FILE):
        return _at_path(spec)
    folder = local_folder(spec)
    if folder is not None:
        checkpoint = read_checkpoint(folder)
        location: Location = "package" if folder == package_folder(spec) else "zoo"
        if location == "zoo":
            _check_pinned(spec, checkpoint)
        return Found(checkpoint, location, spec)
    if spec in CATALOG:
        pin, organization = CATALOG[spec].pin, os.environ.get("MVMR_HUB_ORG")
        if pin is not None:
            return _from_hub(HubSpec(pin.repo, pin.revision), sha256=pin.sha256)
        if organization:
            return _from_hub(parse_hub_spec(f"{organization}/{spec}"))
    raise UnknownModelError(not_found(spec))


def find_checkpoint(spec: str) -> Checkpoint:
    """The checkpoint of a spec; see `find`."""
    return find(spec).checkpoint


def local_folder(name: str) -> Path | None:
    """The folder of a model in the package or in the zoo on this machine."""
    bundled = package_folder(name)
    if bundled is not None:
        return bundled
    try:
        folder = zoo_folder(name)
    except ConfigError:
        return None
    return folder if (folder / CONFIG_FILE).exists() else None


def package_folder(name: str) -> Path | None:
    """The folder of a model that the wheel carries."""
    if name not in CATALOG or not CATALOG[name].bundled:
        return None
    folder = Path(str(resources.files("mvmr_zoo"))) / "bundled" / name
    return folder if (folder / CONFIG_FILE).exists() else None


def not_found(spec: str) -> str:
    """Why nothing answers to `spec`: every place tried, the closest names, what to do."""
    organization = os.environ.get("MVMR_HUB_ORG")
    tried = f"a folder {spec!r} with a {CONFIG_FILE}, the package, the zoo {zoo_home()}"
    if spec in CATALOG:
        tried += "" if organization else ", and not the Hub, since MVMR_HUB_ORG names no organisation"
        return (
            f"{spec!r} is in the catalogue, but its weights are not on this machine (tried {tried}). Its authors "
            f"publish them, stating no licence, at {CATALOG[spec].origin} . Download the file there and run "
            f"`mvmr-zoo import FILE --as {spec}`; or `mvmr-zoo fetch {spec}` does both."
        )
    if Path(spec).is_file():
        return f"{spec} is a file, not a checkpoint folder. `mvmr-zoo import {spec} --as NAME` makes one of weights."
    near = closest_names(spec, [*CATALOG, *zoo_names()])
    hint = f"Closest: {', '.join(near)}. " if near else ""
    return f"No model answers to {spec!r} (tried {tried}). {hint}`mvmr-zoo models` lists them all."


def _at_path(path: str) -> Found:
    checkpoint = read_checkpoint(path)
    return Found(checkpoint, "elsewhere", os.fspath(checkpoint.folder.resolve()))


def _from_hub(where: HubSpec, sha256: str | None = None) -> Found:
    checkpoint = pull(where, sha256=sha256)
    return Found(checkpoint, "hub", str(HubSpec(where.repo, checkpoint.folder.name)))


def _check_pinned(name: str, checkpoint: Checkpoint) -> None:
    pin = CATALOG[name].pin if name in CATALOG else None
    if pin is not None and checkpoint.config_digest != pin.sha256:
        raise CheckpointError(
            f"{checkpoint.folder}: config.json is not the one the catalogue pins for {name!r} "
            f"(hf-hub:{pin.repo}@{pin.revision}). Remove the folder, or import it under another name."
        )
