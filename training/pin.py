"""The pinned row of a published model, written into the hub catalog."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mvmr_zoo._io import write_whole
from mvmr_zoo.checkpoint import CheckpointConfig, ModelCard, Pin
from mvmr_zoo.models import CATALOG, HUB_CATALOG, hub_catalog_text, read_hub_catalog


def pinned_row(config: CheckpointConfig, pin: Pin) -> ModelCard:
    """The catalog's row of a published folder.

    If an earlier row has the same name and architecture, its summary, published results, origin and location are kept.
    """
    from mvmr_zoo.architectures import encoder_cost  # imports PyTorch

    before = CATALOG.get(config.name)
    cost = encoder_cost(config.architecture, config.preprocess.crop_px)
    row = ModelCard(
        name=config.name,
        summary=config.source.partition(". ")[0],
        architecture=config.architecture,
        embedding_dim=config.embedding_dim,
        aligned_dim=config.aligned_dim,
        default_output=config.default_output,
        preprocess=config.preprocess,
        license=config.license,
        origin=f"https://huggingface.co/{pin.repo}",
        task=config.task,
        data=config.data,
        parameters=cost.parameters,
        macs=cost.macs,
        pin=pin,
        measured=config.metrics,
    )
    if before is not None and before.architecture == row.architecture:
        row = replace(
            row,
            summary=before.summary,
            published=before.published,
            location=before.location,
            task=row.task or before.task,
            data=row.data or before.data,
            origin=before.origin,
        )
    return row


def pin_in_catalog(config: CheckpointConfig, pin: Pin, path: Path = HUB_CATALOG) -> Path:
    """Write the row of a published folder into the hub catalog. It replaces an earlier row of the same name.

    Args:
        config: Configuration of the folder on the Hub.
        pin: Location of the folder on the Hub.
        path: The hub catalog.

    Returns:
        The path of the hub catalog.
    """
    rows = {card.name: card for card in (*read_hub_catalog(), pinned_row(config, pin))}
    write_whole(path, hub_catalog_text(rows.values()))
    return path
