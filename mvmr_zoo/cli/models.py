"""`mvmr-zoo models`, `info`, `import`, `fetch`, `verify`, `bundle` and `unbundle`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo._io import AsJson, counted, explain_errors, own_name
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mvmr_zoo.checkpoint import CheckpointConfig, Figure, ModelCard
    from mvmr_zoo.models.weight_import import Imported

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="Model name, as listed by `mvmr-zoo models`.")]
AnySpec = Annotated[str, typer.Argument(help="Model name, folder, or external model such as timm:NAME.")]
Spec = Annotated[str, typer.Argument(help="Model name, checkpoint folder, or hf-hub:ORG/NAME@REVISION.")]
KeepProjector = Annotated[bool, typer.Option("--keep-projector", help="Also keep the projector, to continue training.")]


@app.command()
@explain_errors
def models(
    pattern: Annotated[
        str | None, typer.Argument(help="Only models whose names match, for example 'resnet50*'.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Only models with this training task, for example distillation.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="Only models trained on this data set, for example stl10.")] = None,
    license: Annotated[str | None, typer.Option(help="Only models with this license, for example apache-2.0.")] = None,
    max_params: Annotated[int | None, typer.Option(help="Maximum number of parameters.")] = None,
    min_metric: Annotated[
        list[str] | None,
        typer.Option(help="Minimum value of a metric, for example stl10/linear=0.9. Can be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models known by name.

    The last column shows one result per model, either published by its authors or measured by this project.
    `mvmr-zoo info NAME` shows all results and details.
    """
    from mvmr_zoo.models import DEFAULT_MODEL, damaged_models, list_models

    for reason in damaged_models().values():
        typer.echo(f"Omitted: {printable(reason)}", err=True)
    bounds = _bounds(min_metric or [])
    cards = list_models(pattern, task=task, data=data, license=license, max_params=max_params, min_metric=bounds)
    if as_json:
        typer.echo(json.dumps([_plain(card) for card in cards], indent=2))
        return
    if cards:
        for line in _table(cards, bounds):
            typer.echo(line)
    else:
        typer.echo("No matches.")
    typer.echo(f"New photo libraries use {DEFAULT_MODEL}, whose weights come with the package's [runtime] extra.")


@app.command()
@explain_errors
def info(spec: AnySpec, as_json: AsJson = False) -> None:
    """Show all details of one model.

    No weights are downloaded, except for a checkpoint on the Hub that is not in the catalog.
    """
    from mvmr_zoo.models import CATALOG, model_info

    card = model_info(spec)
    if as_json:
        typer.echo(json.dumps(_plain(card), indent=2))
        return
    preprocess = card.preprocess
    rows: dict[str, object] = {"summary": card.summary}
    if card.name in CATALOG or card.location != "elsewhere":
        rows["where"] = _WHERE[card.location]
    rows |= {
        "architecture": card.architecture,
        "dimension": card.embedding_dim,
        "outputs": _outputs(card),
        "parameters": f"{card.parameters:,}" if card.parameters else "unknown",
        "MACs": f"{card.macs:,} per image" if card.macs else "unknown",
        "input": f"{preprocess.crop_px} px, center crop of {preprocess.resize_px} px, {preprocess.interpolation}",
        "mean, std": "; ".join(", ".join(f"{each:.4g}" for each in row) for row in (preprocess.mean, preprocess.std)),
        "trained by": card.task or "unknown",
        "trained on": ", ".join(card.data) or "unknown",
        "license": card.license,
        "origin": card.origin,
    }
    if card.pin is not None:
        rows["revision"] = f"hf-hub:{card.pin.repo}@{card.pin.revision}"
    typer.echo(card.name)
    for label, value in rows.items():
        typer.echo(f"  {label:<13} {printable(str(value))}")
    for kind, figures in (("measured", card.measured), ("published", card.published)):
        for figure_name, figure in figures.items():
            source = f" ({figure.source})" if figure.source else ""
            typer.echo(f"  {kind:<13} {printable(f'{figure_name} {figure}{source}')}")


@app.command("import")
@explain_errors
def import_(
    file: Annotated[
        Path, typer.Argument(help="Weights file: the paper authors' .pth or .ckpt, or a ResNet of torchvision or timm.")
    ],
    name: Annotated[
        str,
        typer.Option(
            "--as", help="Name to load the model by. If the name is in the catalog, the catalog's metadata is used."
        ),
    ],
    preprocess: Annotated[
        str | None,
        typer.Option(help="imagenet, stl10, cifar, voc07, or a JSON file. Not needed if --as is a catalog name."),
    ] = None,
    keep_projector: KeepProjector = False,
) -> None:
    """Convert a weights file to a checkpoint folder. No code in the file is executed."""
    from mvmr_zoo.models.weight_import import import_weights

    _show_imported(import_weights(file, name, preprocess=preprocess, keep_projector=keep_projector))


@app.command()
@explain_errors
def fetch(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    keep_projector: KeepProjector = False,
) -> None:
    """Download the weights of a catalog model, and import them.

    gdown downloads the authors' folder from Google Drive.
    """
    from mvmr_zoo.models.weight_import import authors_folder, gdown_library
    from mvmr_zoo.models.weight_import import fetch as run

    address = authors_folder(name)
    gdown_library()  # an error now is better than one after the question
    typer.echo(f"{name}: The authors publish the weights at {address} without a license.")
    if not yes:
        typer.confirm("Download them anyway?", abort=True)
    _show_imported(run(name, keep_projector=keep_projector))


@app.command()
@explain_errors
def verify(spec: Spec) -> None:
    """Check a checkpoint folder.

    It checks the schema, the hashes and the reference outputs, and compares ONNX Runtime with PyTorch.
    """
    from mvmr_zoo.models import find
    from mvmr_zoo.models import verify_checkpoint as run

    found = find(spec)
    report = run(found.checkpoint)
    typer.echo(f"folder        {printable(str(found.checkpoint.folder))}")
    typer.echo(f"schema        {found.checkpoint.config.schema_version}, all fields valid")
    typer.echo(f"hashes        {counted(len(found.checkpoint.config.sha256), 'file')}, all correct")
    typer.echo(f"outputs       {_outputs(found.checkpoint.config)}")
    typer.echo(f"ONNX Runtime  cosine {report.onnx:.6f} to the reference outputs")
    if report.torch is None or report.agreement is None:
        typer.echo(
            "PyTorch       not installed, so this was not checked. Run `pip install 'mvmr-zoo[cpu]'` to check it."
        )
        return
    typer.echo(f"PyTorch       cosine {report.torch:.6f} to the reference outputs")
    typer.echo(f"both agree    cosine {report.agreement:.6f}")


@app.command()
@explain_errors
def bundle(
    spec: Spec,
    output: Annotated[Path, typer.Option("--output", "-o", help="Tar file to write.")],
) -> None:
    """Pack a model into one file, for a machine without a network."""
    from mvmr_zoo.models import bundle as run
    from mvmr_zoo.models import find_checkpoint

    checkpoint = find_checkpoint(spec)
    run(checkpoint, output)
    typer.echo(f"{printable(str(output))}: {checkpoint.config.name}, {output.stat().st_size / 1e6:.1f} MB")
    if checkpoint.config.base is not None:
        typer.echo(checkpoint.config.base.needs)
    typer.echo(f"On the other machine: mvmr-zoo unbundle {printable(output.name)}")


@app.command()
@explain_errors
def unbundle(file: Annotated[Path, typer.Argument(help="File written by `mvmr-zoo bundle`.")]) -> None:
    """Unpack a bundled model into the local model folder."""
    from mvmr_zoo.models import unbundle as run

    checkpoint = run(file)
    typer.echo(f"{checkpoint.config.name}: {printable(str(checkpoint.folder))}")
    typer.echo(f"Try it: {own_name()} verify {checkpoint.config.name}")


_COLUMNS = 100
_LICENSE_COLUMNS = 10
_WHERE = {"package": "package", "zoo": "local", "hub": "Hub", "path": "folder", "elsewhere": "not here"}


def _table(cards: Sequence[ModelCard], wanted: Iterable[str]) -> Iterator[str]:
    """The lines of the table, at most `_COLUMNS` wide if the names leave room for the other columns.

    Args:
        cards: The models.
        wanted: Names of figures that are shown before others.
    """
    name_columns = max(len(card.name) for card in cards)
    row = f"{{:<{name_columns}}}  {{:<8}}  {{:>4}}  {{:>3}}  {{:>6}}  {{:<{_LICENSE_COLUMNS}}}  "
    head = row.format("name", "where", "dim", "px", "params", "license")
    yield f"{head}result"
    for card in cards:
        params = f"{card.parameters / 1e6:.1f}M" if card.parameters else ""
        license = _cut(printable(card.license), _LICENSE_COLUMNS)
        start = row.format(card.name, _WHERE[card.location], card.embedding_dim, card.input_px, params, license)
        yield (start + _cut(printable(_figure(card, wanted)), _COLUMNS - len(head))).rstrip()


def _figure(card: ModelCard, wanted: Iterable[str]) -> str:
    """One figure in words: a wanted one, else one on the data that the model was trained on, else the shortest name."""
    figures = [(name, each, "") for name, each in card.measured.items()]
    figures += [(name, each, " published") for name, each in card.published.items()]
    if not figures:
        return ""
    first = [card.figure(name) for name in wanted]

    def rank(row: tuple[str, Figure, str]) -> tuple[int, int]:
        if any(row[1] is each for each in first):
            return 0, 0
        return (1, 0) if row[0].partition("/")[0] in card.data else (2, len(row[0]))

    name, figure, source = min(figures, key=rank)
    return f"{name} {100 * figure.value:.1f} %{source}"


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: max(columns - 1, 0)]}…"


def _plain(card: ModelCard) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(card) | {"input_px": card.input_px, "outputs": card.outputs}


def _outputs(facts: ModelCard | CheckpointConfig) -> str:
    listed = ", ".join(f"{output} {dim}" for output, dim in facts.outputs.items())
    return listed if len(facts.outputs) == 1 else f"{listed} (default: {facts.default_output})"


def _bounds(given: list[str]) -> dict[str, float]:
    from mvmr_zoo.errors import ConfigError

    bounds = {}
    for each in given:
        name, _, value = each.rpartition("=")
        try:
            bounds[name] = float(value)
        except ValueError:
            raise ConfigError(
                f"--min-metric is {each!r}; expected NAME=FRACTION, for example stl10/linear=0.9."
            ) from None
    return bounds


def _show_imported(imported: Imported) -> None:
    config = imported.checkpoint.config
    typer.echo(
        f"{config.name}: {config.architecture}, {config.embedding_dim} features, {config.preprocess.crop_px} px, "
        f"in {printable(str(imported.checkpoint.folder))}"
    )
    for note in imported.notes:
        typer.echo(f"  {note}")
    typer.echo(f"Try it: {own_name()} index add PHOTOS --model {config.name}")
