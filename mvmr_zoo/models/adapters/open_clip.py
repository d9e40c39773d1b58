"""Image towers of CLIP models, by open_clip: `open_clip:ARCH/TAG`, `open_clip:ARCH@FILE`."""

from __future__ import annotations

import logging
from typing import Any

from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import ConfigError, MissingDependencyError, UnknownModelError, hint
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder
from mvmr_zoo.models.adapters.weights import fill, split_file, unavailable


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """The image tower with its projection, as `encode_image` gives it, not normalized.

    A file holds the whole CLIP model, as open_clip publishes it. `ARCH/TAG@FILE` takes the preprocessing
    of the tag, `ARCH@FILE` that of the architecture.

    Args:
        name: ARCH/TAG, ARCH@FILE or ARCH/TAG@FILE.
        weights: False gives random weights where there is no FILE, and downloads nothing.

    Raises:
        UnknownModelError: no such architecture or tag, or its weights are not here and cannot be got.
        ConfigError: images it wants, or vectors it gives, are of a kind that is not offered here.
        CheckpointError: the file is of another network.
        MissingDependencyError: open_clip is not installed.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingDependencyError("open_clip_torch", "teachers", f"load open_clip:{name}") from error
    network, file = split_file(name)
    architecture, _, tag = network.partition("/")
    if architecture not in (known := open_clip.list_models()):
        raise UnknownModelError(f"open_clip has no architecture {architecture!r}.{hint(architecture, known)}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in tags and (tag or file is None):
        raise UnknownModelError(
            f"open_clip:{name} names no weights; expected open_clip:{architecture}@FILE, or one of its tags: "
            f"{', '.join(f'{architecture}/{each}' for each in tags) or 'it has none'}."
        )
    download = weights and file is None
    told: dict[str, Any] = (open_clip.get_pretrained_cfg(architecture, tag) or {}) if tag and not download else {}
    logging.getLogger().addFilter(_not_random := _Quiet())
    try:
        model: Any = open_clip.create_model(
            architecture, pretrained=tag if download else None, force_quick_gelu=told.get("quick_gelu", False)
        )
    except Exception as error:  # whatever the network and the hub raise
        raise unavailable(f"open_clip:{network}", error, file_spec=f"open_clip:{architecture}") from None
    finally:
        logging.getLogger().removeFilter(_not_random)
    if file is not None:
        fill(model, file)
    values = open_clip.get_model_preprocess_cfg(model)
    values |= {name: told[name] for name in ("mean", "std", "interpolation", "resize_mode") if name in told}
    preprocess = _preprocess(values, name)
    tower = model.visual.eval()
    return ExternalEncoder(
        card=ModelCard(
            name=f"open_clip:{network}",
            summary=f"CLIP image tower {architecture}, {tag if file is None else file.name}",
            architecture=architecture,
            embedding_dim=_dim(tower, preprocess.crop_px, name),
            preprocess=preprocess,
            license=LICENSE_NOT_STATED,
            origin="https://github.com/mlfoundations/open_clip",
            parameters=sum(each.numel() for each in tower.parameters()),
        ),
        module=tower,
    )


class _Quiet(logging.Filter):
    """Keeps open_clip's warning about random weights from the user: a file's are filled in next."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "initialized randomly" not in record.getMessage()


def _dim(tower: Any, px: int, name: str) -> int:
    """How many features the tower gives; asked, since its kinds have no attribute in common."""
    import torch

    with torch.inference_mode():
        found = tower(torch.zeros(1, 3, px, px))
    if not isinstance(found, torch.Tensor) or found.ndim != 2:
        raise ConfigError(f"open_clip:{name} gives more than one vector an image; it cannot be used here.")
    return int(found.shape[1])


def _preprocess(values: dict[str, Any], name: str) -> Preprocess:
    size = values["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width or values.get("resize_mode", "shortest") != "shortest":
        raise ConfigError(
            f"open_clip:{name} wants images of {size} by {values.get('resize_mode')}; only squares cut from the "
            "center are offered here."
        )
    return Preprocess(
        resize_px=height,
        crop_px=height,
        interpolation="bicubic" if values["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
    )
