"""`mvmr-zoo models`, `info`, `import`, `fetch`, `verify`, `bundle`, `unbundle`: the zoo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo._io import AsJson, explain_errors, own_name
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import CheckpointConfig, ModelCard
    from mvmr_zoo.models.weight_import import Imported

app = typer.Typer()

Name = Annotated[str, typer.Argument(help="A model's name, as `mvmr-zoo models` lists it.")]
Spec = Annotated[str, typer.Argument(help="A model's name, a checkpoint folder, or hf-hub:ORG/NAME@REVISION.")]
KeepProjector = Annotated[
    bool, typer.Option("--keep-projector", help="Keep the projector too, to go on with training.")
]


@app.command()
@explain_errors
def models(
    task: Annotated[str | None, typer.Option(help="Only models trained so, as `distillation`.")] = None,
    data: Annotated[str | None, typer.Option(help="Only models trained on this data set, as `stl10`.")] = None,
    license: Annotated[str | None, typer.Option(help="Only weights of this license, as `apache-2.0`.")] = None,
    max_params: Annotated[int | None, typer.Option(help="Most parameters.")] = None,
    min_metric: Annotated[
        list[str] | None, typer.Option(help="NAME=FRACTION, as stl10/linear=0.9; may be given several times.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every model known by name. Published figures are their authors'; measured ones stand in the checkpoint folder."""
    from mvmr_zoo.models import DEFAULT_MODEL, damaged_models, list_models

    for reason in damaged_models().values():
        typer.echo(f"Left out: {printable(reason)}", err=True)
    cards = list_models(
        task=task, data=data, license=license, max_params=max_params, min_metric=_bounds(min_metric or [])
    )
    if as_json:
        typer.echo(json.dumps([_plain(card) for card in cards], indent=2))
        return
    typer.echo(_ROW.format("name", "where", "dim", "px", "params", "MACs", "license", "figures"))
    for card in cards:
        figures = [f"{name} {figure}" for name, figure in card.measured.items()]
        figures += [f"published {name} {figure}" for name, figure in card.published.items()]
        params = f"{card.parameters / 1e6:.1f}M" if card.parameters else "-"
        macs = f"{card.macs / 1e9:.2f}G" if card.macs else "-"
        where, told = _WHERE[card.location], printable("; ".join(figures))
        row = (card.name, where, card.embedding_dim, card.input_px, params, macs, printable(card.license), told)
        typer.echo(_ROW.format(*row))
    typer.echo(f"New photo libraries use {DEFAULT_MODEL}, whose weights come with the package's [runtime] extra.")


@app.command()
@explain_errors
def info(name: Name, as_json: AsJson = False) -> None:
    """Everything known of one model."""
    from mvmr_zoo.models import model_info

    card = model_info(name)
    if as_json:
        typer.echo(json.dumps(_plain(card), indent=2))
        return
    preprocess = card.preprocess
    rows = {
        "summary": card.summary,
        "where": _WHERE[card.location],
        "architecture": card.architecture,
        "dimension": card.embedding_dim,
        "outputs": _outputs(card),
        "parameters": f"{card.parameters:,}" if card.parameters else "not known",
        "MACs": f"{card.macs:,} an image" if card.macs else "not known",
        "input": f"{preprocess.crop_px} px, the center of {preprocess.resize_px} px, {preprocess.interpolation}",
        "mean, std": f"{preprocess.mean}, {preprocess.std}",
        "trained by": card.task or "not known",
        "trained on": ", ".join(card.data) or "not known",
        "license": card.license,
        "origin": card.origin,
    }
    if card.pin is not None:
        rows["pinned"] = f"hf-hub:{card.pin.repo}@{card.pin.revision}"
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
    file: Annotated[Path, typer.Argument(help="The authors' .pth or .ckpt, or a torchvision or timm ResNet's.")],
    name: Annotated[str, typer.Option("--as", help="What `load` will know it by; a catalog name brings its facts.")],
    preprocess: Annotated[
        str | None, typer.Option(help="imagenet, stl10, cifar, voc07, or a JSON file; catalog names bring theirs.")
    ] = None,
    keep_projector: KeepProjector = False,
) -> None:
    """Make a checkpoint folder of a weights file. Nothing in the file is executed."""
    from mvmr_zoo.models.weight_import import import_weights

    _tell(import_weights(file, name, preprocess=preprocess, keep_projector=keep_projector))


@app.command()
@explain_errors
def fetch(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    keep_projector: KeepProjector = False,
) -> None:
    """Download the authors' folder of a catalog model with gdown, and import its weights."""
    from mvmr_zoo.models.weight_import import authors_folder, gdown_library
    from mvmr_zoo.models.weight_import import fetch as run

    address = authors_folder(name)
    gdown_library()  # before anybody is asked
    typer.echo(f"{name}: its authors publish the weights at {address} and state no license.")
    if not yes:
        typer.confirm("Download them all the same?", abort=True)
    _tell(run(name, keep_projector=keep_projector))


@app.command()
@explain_errors
def verify(spec: Spec) -> None:
    """Check a checkpoint folder: schema, hashes, golden answers, and that both engines agree."""
    from mvmr_zoo.models import find
    from mvmr_zoo.models import verify_checkpoint as run

    found = find(spec)
    report = run(found.checkpoint)
    typer.echo(f"folder        {printable(str(found.checkpoint.folder))}")
    typer.echo(f"schema        {found.checkpoint.config.schema_version}, every field right")
    typer.echo(f"hashes        {len(found.checkpoint.config.sha256)} files, all right")
    typer.echo(f"outputs       {_outputs(found.checkpoint.config)}")
    typer.echo(f"ONNX Runtime  cosine {report.onnx:.6f} to the golden answers")
    if report.torch is None or report.agreement is None:
        typer.echo("PyTorch       not installed, not checked; `pip install 'mvmr-zoo[cpu]'` brings it")
        return
    typer.echo(f"PyTorch       cosine {report.torch:.6f} to the golden answers")
    typer.echo(f"both agree    cosine {report.agreement:.6f}")


@app.command()
@explain_errors
def bundle(
    spec: Spec,
    output: Annotated[Path, typer.Option("--output", "-o", help="The tar file to write.")],
) -> None:
    """Put a model into one file, for a machine without network."""
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
def unbundle(file: Annotated[Path, typer.Argument(help="What `mvmr-zoo bundle` wrote.")]) -> None:
    """Put a bundled model into this machine's zoo."""
    from mvmr_zoo.models import unbundle as run

    checkpoint = run(file)
    typer.echo(f"{checkpoint.config.name} is in {printable(str(checkpoint.folder))}")
    typer.echo(f"Try it: {own_name()} verify {checkpoint.config.name}")


_ROW = "{:<25}  {:<8}  {:>4}  {:>3}  {:>6}  {:>6}  {:<10}  {}"
_WHERE = {"package": "package", "zoo": "zoo", "hub": "Hub", "path": "folder", "elsewhere": "not here"}


def _plain(card: ModelCard) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(card) | {"input_px": card.input_px, "outputs": card.outputs}


def _outputs(facts: ModelCard | CheckpointConfig) -> str:
    listed = ", ".join(f"{output} {dim}" for output, dim in facts.outputs.items())
    return listed if len(facts.outputs) == 1 else f"{listed}; {facts.default_output} by default"


def _bounds(given: list[str]) -> dict[str, float]:
    from mvmr_zoo.errors import ConfigError

    bounds = {}
    for each in given:
        name, _, value = each.rpartition("=")
        try:
            bounds[name] = float(value)
        except ValueError:
            raise ConfigError(f"--min-metric got {each!r}; expected NAME=FRACTION, as stl10/linear=0.9.") from None
    return bounds


def _tell(imported: Imported) -> None:
    config = imported.checkpoint.config
    typer.echo(
        f"{config.name}: {config.architecture}, {config.embedding_dim} features, {config.preprocess.crop_px} px, "
        f"in {printable(str(imported.checkpoint.folder))}"
    )
    for note in imported.notes:
        typer.echo(f"  {note}")
    typer.echo(f"Try it: {own_name()} index add PHOTOS --model {config.name}")
