"""Image towers of CLIP models from open_clip: `open_clip:ARCH/TAG` and `open_clip:ARCH@FILE`."""

from __future__ import annotations

import logging
from typing import Any

from mvmr_zoo.checkpoint import LICENSE_NOT_STATED, ModelCard
from mvmr_zoo.errors import ConfigError, MissingDependencyError, UnknownModelError, hint
from mvmr_zoo.images import Preprocess
from mvmr_zoo.models.adapters.record import ExternalEncoder
from mvmr_zoo.models.adapters.weights import fill, split_file, unavailable


def load(name: str, *, weights: bool = True) -> ExternalEncoder:
    """Load the image tower of a CLIP model, with its projection. The output is that of `encode_image`, not normalized.

    A file contains the whole CLIP model, as open_clip publishes it. `ARCH/TAG@FILE` uses the preprocessing of the
    tag, and `ARCH@FILE` that of the architecture.

    Args:
        name: ARCH/TAG, ARCH@FILE or ARCH/TAG@FILE.
        weights: False downloads nothing and uses random weights if there is no FILE.

    Raises:
        UnknownModelError: The architecture or tag does not exist, or the weights cannot be downloaded.
        ConfigError: The model needs images other than square center crops, or outputs several vectors per image.
        CheckpointError: The file belongs to another network.
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
            f"open_clip:{name} does not select weights. Use open_clip:{architecture}@FILE, or one of the tags: "
            f"{', '.join(f'{architecture}/{known_tag}' for known_tag in tags) or 'there are none'}."
        )
    download = weights and file is None
    tag_config: dict[str, Any] = (open_clip.get_pretrained_cfg(architecture, tag) or {}) if tag and not download else {}
    logging.getLogger().addFilter(random_weights_filter := _RandomWeightsFilter())
    try:
        model: Any = open_clip.create_model(
            architecture, pretrained=tag if download else None, force_quick_gelu=tag_config.get("quick_gelu", False)
        )
    except Exception as error:  # downloads and the Hub raise many types of errors
        raise unavailable(f"open_clip:{network}", error, file_spec=f"open_clip:{architecture}") from None
    finally:
        logging.getLogger().removeFilter(random_weights_filter)
    if file is not None:
        fill(model, file)
    values = open_clip.get_model_preprocess_cfg(model)
    values |= {key: tag_config[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in tag_config}
    preprocess = _preprocess(values, name)
    tower = model.visual.eval()
    return ExternalEncoder(
        card=ModelCard(
            name=f"open_clip:{network}",
            summary=f"CLIP image tower {architecture}, {tag if file is None else file.name}",
            architecture=architecture,
            embedding_dim=_embedding_dim(tower, preprocess.crop_px, name),
            preprocess=preprocess,
            license=LICENSE_NOT_STATED,
            origin="https://github.com/mlfoundations/open_clip",
            parameters=sum(parameter.numel() for parameter in tower.parameters()),
        ),
        module=tower,
    )


class _RandomWeightsFilter(logging.Filter):
    """Hides the warning of open_clip about random weights, because the weights of a file are loaded afterwards."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "initialized randomly" not in record.getMessage()


def _embedding_dim(tower: Any, px: int, name: str) -> int:
    """The number of features. It is measured, because the types of towers have no attribute for it in common."""
    import torch

    with torch.inference_mode():
        features = tower(torch.zeros(1, 3, px, px))
    if not isinstance(features, torch.Tensor) or features.ndim != 2:
        raise ConfigError(f"open_clip:{name} outputs more than one vector per image and is not supported.")
    return int(features.shape[1])


def _preprocess(values: dict[str, Any], name: str) -> Preprocess:
    size = values["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width or values.get("resize_mode", "shortest") != "shortest":
        raise ConfigError(
            f"open_clip:{name} needs images of size {size} with the resize mode {values.get('resize_mode')}. Only "
            "square center crops are supported."
        )
    return Preprocess(
        resize_px=height,
        crop_px=height,
        interpolation="bicubic" if values["interpolation"] == "bicubic" else "bilinear",
        mean=tuple(values["mean"]),
        std=tuple(values["std"]),
    )
