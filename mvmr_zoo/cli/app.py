"""The commands of `mvmr-zoo` together."""

from __future__ import annotations

from typing import Annotated

import typer

from mvmr_zoo import __version__
from mvmr_zoo.cli import duplicates, embed, eval, index, index_add, models, quickstart, search, vectors  # noqa: F401
from mvmr_zoo.cli.options import index_app

app = typer.Typer(
    help="Search photos, embed images, and evaluate encoders.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # Rich takes `[gpu]` in a help text for markup, and shows flags as <bool>
)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Handle the options before the command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


app.add_typer(quickstart.app)
app.add_typer(index_app, name="index")
app.add_typer(embed.app)
app.add_typer(vectors.app)
app.add_typer(search.app)
app.add_typer(duplicates.app)
app.add_typer(models.app)
app.add_typer(eval.app, name="eval")
