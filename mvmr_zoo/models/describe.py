"""`list_models` and `model_info`: describe models by their cards, without loading them."""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mvmr_zoo.checkpoint import (
    CONFIG_FILE,
    CheckpointConfig,
    Location,
    ModelCard,
    count_parameters,
    current_name,
    data_and_protocol,
    read_config,
)
from mvmr_zoo.errors import CheckpointError, ConfigError, closest
from mvmr_zoo.models import adapters
from mvmr_zoo.models.catalog import CATALOG, PARAMETERS
from mvmr_zoo.models.exported import Exported, read_exported
from mvmr_zoo.models.paths import zoo_names
from mvmr_zoo.models.resolve import exported_folder, find, local_folder

if TYPE_CHECKING:
    from pathlib import Path


def list_models(
    pattern: str | None = None,
    *,
    task: str | None = None,
    data: str | None = None,
    license: str | None = None,
    max_params: int | None = None,
    min_metric: Mapping[str, float] | None = None,
) -> list[ModelCard]:
    """List the model cards of the catalog and of the zoo. Models of the package come first, then the order is by name.

    Folders of the zoo that cannot be read are omitted. `damaged_models` returns them.

    Args:
        pattern: A shell wildcard that the name must match, for example `resnet50*`. None lists every name.
        task: `pretraining`, `distillation`, `semi-supervised` or `linear classification`.
        data: Name of a data set that the model was trained on, for example `stl10`.
        license: License of the weights, for example `apache-2.0` or `not stated`.
        max_params: Maximum number of parameters of the encoder.
        min_metric: Minimum values by figure, as fractions, for example `{"stl10/linear": 0.9}`. A measured figure is
            preferred to a published one. Models without the figure are omitted.

    Raises:
        ConfigError: No model has this task, data set, license or figure. The message lists the closest ones.
    """
    cards, _ = _known_cards()
    _check_known("task", task, {card.task for card in cards if card.task})
    _check_known("data", data, {name for card in cards for name in card.data})
    _check_known("license", license, {card.license for card in cards})
    thresholds = {current_name(name): value for name, value in (min_metric or {}).items()}
    for name in thresholds:
        figures = {key for card in cards for key in (*card.published, *card.measured)}
        _check_known("min_metric", name, figures | {data_and_protocol(key) for key in figures})

    def matches(card: ModelCard) -> bool:
        values = {name: card.figure(name) for name in thresholds}
        return (
            (pattern is None or fnmatch.fnmatchcase(card.name, pattern))
            and task in (None, card.task)
            and (data is None or data in card.data)
            and license in (None, card.license)
            and (max_params is None or 0 < card.parameters <= max_params)
            and all(figure is not None and figure.value >= thresholds[name] for name, figure in values.items())
        )

    return sorted(filter(matches, cards), key=lambda card: (card.location != "package", card.name))


def damaged_models() -> dict[str, str]:
    """The models of the zoo that have no readable `config.json`, as error messages by name."""
    _, errors = _known_cards()
    return errors


def model_info(spec: str) -> ModelCard:
    """Return the card of a model: its architecture, dimension, preprocessing, license, cost and figures.

    Models of the catalog are described without their weights, and external encoders without downloading weights.
    Parameters and multiply-accumulates that are not stored are counted, which needs the library of the network.

    Args:
        spec: Name or spec, as for `load`.

    Raises:
        UnknownModelError: There is no such model. The message lists the closest names.
        CheckpointError: The `config.json` of its folder cannot be read.
        MissingDependencyError: The library of an external encoder is not installed.
        HubError: The Hub cannot be reached, or refuses the request.
    """
    if spec in CATALOG or local_folder(spec) is not None:
        card = _known_card(spec)
    elif (folder := exported_folder(spec)) is not None:
        card = exported_card(read_exported(folder))
    elif adapters.is_external(spec):
        return adapters.describe_external(spec)
    else:
        found = find(spec)
        card = checkpoint_card(found.checkpoint.config, found.location, found.name, found.checkpoint.weights_path)
    return card if card.macs else _with_macs(card)


def _known_cards() -> tuple[list[ModelCard], dict[str, str]]:
    """The cards of the catalog and of the zoo, and for models with a damaged `config.json` error messages by name."""
    cards, errors = [], {}
    for name in dict.fromkeys([*CATALOG, *zoo_names()]):
        try:
            cards.append(_known_card(name))
        except CheckpointError as error:
            errors[name] = str(error)
    return cards, errors


def _known_card(name: str) -> ModelCard:
    """The card of a model in the catalog or the zoo."""
    folder = local_folder(name)
    if folder is not None:
        config = read_config(folder.path / CONFIG_FILE)
        return checkpoint_card(config, folder.location, name, folder.path / config.weights_file)
    card = CATALOG[name]
    return replace(card, location="hub") if card.pin is not None else card


def _with_macs(card: ModelCard) -> ModelCard:
    """The card with its multiply-accumulates, if its network can be built on this machine."""
    try:
        from mvmr_zoo.architectures import encoder_cost

        return replace(card, macs=encoder_cost(card.architecture, card.input_px).macs)
    except (ImportError, ConfigError):
        return card


def _check_known(option: str, value: str | None, known: set[str]) -> None:
    if value is not None and value not in known:
        near = closest(value, known) or sorted(known)
        raise ConfigError(f"No model has {option} {value!r}. Closest: {', '.join(near)}.")


def checkpoint_card(
    config: CheckpointConfig, location: Location, name: str | None, weights: Path | None = None
) -> ModelCard:
    """The card of a checkpoint folder, completed from the catalog entry of the name that it was found by.

    For an architecture that is not in the catalog, parameters are counted in the weights file.
    """
    entry = CATALOG.get(name) if name is not None else None
    known = entry if entry is not None and entry.architecture == config.architecture else None
    parameters = PARAMETERS.get(config.architecture, known.parameters if known else 0)
    if not parameters and weights is not None:
        with contextlib.suppress(CheckpointError):  # a damaged file still has a card; loading raises the error
            parameters = count_parameters(weights)
    return ModelCard(
        name=name or config.name,
        summary=known.summary if known else config.source,
        architecture=config.architecture,
        embedding_dim=config.embedding_dim,
        preprocess=config.preprocess,
        license=config.license,
        origin=known.origin if known else config.source,
        task=config.task or (known.task if known else ""),
        data=config.data or (known.data if known else ()),
        parameters=parameters,
        macs=known.macs if known and known.preprocess == config.preprocess else 0,
        location=location,
        pin=known.pin if known else None,
        published=known.published if known else {},
        measured=config.metrics,
        aligned_dim=config.aligned_dim,
        default_output=config.default_output,
    )


def exported_card(exported: Exported) -> ModelCard:
    """The card of an exported folder: that of its checkpoint, with the dtype and the preprocessing of the export."""
    config, signature = exported.config, exported.signature
    return replace(
        checkpoint_card(config, "path", None),
        name=f"{config.name}-onnx-{signature.dtype}",
        summary=f"{config.name} as ONNX, {signature.dtype}" + ("" if exported.passed else ", did not meet its limits"),
        preprocess=signature.preprocess,
        macs=0,
    )
