"""The pinned row of a published model, written into the catalog's source."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import mvmr_zoo.pinned
from mvmr_zoo.atomic import write_whole
from mvmr_zoo.card import ModelCard, Pin
from mvmr_zoo.catalog import CATALOG
from mvmr_zoo.checkpoint import CheckpointConfig
from mvmr_zoo.encoder import encoder_cost

_SOURCE = '''"""Models published on the Hub, each pinned to one commit. Written by `training.push --update-catalog`."""

from __future__ import annotations

from mvmr_zoo.card import {names}
{imports}
PINNED: tuple[ModelCard, ...] = {rows}
'''


def pinned_row(config: CheckpointConfig, pin: Pin) -> ModelCard:
    """The catalog's row of a published folder.

    If an earlier row has the same name and architecture, its summary, published figures, origin and location are kept.
    """
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


def pin_in_catalog(config: CheckpointConfig, pin: Pin, path: Path | None = None) -> Path:
    """Write the row of a published folder into `mvmr_zoo/pinned.py`. It replaces an earlier row of the same name.

    Args:
        config: Configuration of the folder on the Hub.
        pin: Location of the folder on the Hub.
        path: Path of the file. None is the file of the imported package.

    Returns:
        The path of the file.
    """
    target = path or Path(mvmr_zoo.pinned.__file__)
    rows = {card.name: card for card in (*mvmr_zoo.pinned.PINNED, pinned_row(config, pin))}
    write_whole(target, pinned_source(rows.values()))
    return target


def pinned_source(cards: Iterable[ModelCard]) -> str:
    """The text of `pinned.py` for some cards, sorted by name."""
    rows = "".join(f"    {_literal(card, 4)},\n" for card in sorted(cards, key=lambda card: card.name))
    names = [name for name in ("Figure", "ModelCard", "Pin") if name == "ModelCard" or f"{name}(" in rows]
    imports = "from mvmr_zoo.preprocess import Preprocess\n" if rows else ""
    return _SOURCE.format(names=", ".join(names), imports=imports, rows=f"(\n{rows})" if rows else "()")


def _literal(value: Any, indent: int) -> str:
    """A value as Python source, one field per line. Fields with their default are omitted."""
    inner, outer = " " * (indent + 4), " " * indent
    if is_dataclass(value):
        given = [
            (field.name, getattr(value, field.name))
            for field in fields(value)
            if getattr(value, field.name) not in (field.default, {}, ())
        ]
        lines = [f"{inner}{name}={_literal(each, indent + 4)},\n" for name, each in given]
        return f"{type(value).__name__}(\n{''.join(lines)}{outer})"
    if isinstance(value, Mapping):
        lines = [f"{inner}{json.dumps(key)}: {_literal(each, indent + 4)},\n" for key, each in value.items()]
        return f"{{\n{''.join(lines)}{outer}}}"
    if isinstance(value, tuple):
        lines = [f"{inner}{_literal(each, indent + 4)},\n" for each in value]
        return f"(\n{''.join(lines)}{outer})"
    return json.dumps(value) if isinstance(value, str) else repr(value)
