"""`mvmr-zoo`: the command line. Heavy modules are imported inside the commands, so `--help` is instant.

options  what the commands of the photo library share
photos   index add, remove, prune; quickstart
upkeep   index status, tune, build, doctor
searching   search, duplicates
embedding   embed
vectors   vectors
evaluation   eval
models   models, info, import, fetch, verify, bundle, unbundle
"""

from __future__ import annotations

from typing import Annotated

import typer

from mvmr_zoo import __version__
from mvmr_zoo.cli import embedding, evaluation, models, photos, searching, upkeep, vectors  # noqa: F401  (upkeep's commands are index_app's)
from mvmr_zoo.cli.options import index_app

app = typer.Typer(
    help="Photos to compact feature vectors: index a folder, search it, look at the models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Options before any command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


app.add_typer(photos.app)
app.add_typer(index_app, name="index")
app.add_typer(embedding.app)
app.add_typer(vectors.app)
app.add_typer(searching.app)
app.add_typer(models.app)
app.add_typer(evaluation.app, name="eval")


def main() -> None:
    """The console script."""
    app()
