"""What the commands of the photo library share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo.errors import ConfigError

index_app = typer.Typer(help="The photo library: add folders, see how it stands.", no_args_is_help=True)

Library = Annotated[
    Path | None,
    typer.Option(
        "--library", "-L", help="Library folder. Default: $MVMR_LIBRARY, else ~/.local/share/mvmr_zoo/library."
    ),
]
ModelSpec = Annotated[
    str | None,
    typer.Option(help="Model name or checkpoint folder. Default: the library's own, or the one in the package."),
]

ModelOutput = Annotated[
    str | None,
    typer.Option(
        "--model-output",
        help="Output of the model: features, or aligned for retrieval (distilled models). Default: the model's own.",
    ),
]
ModelDim = Annotated[
    int | None,
    typer.Option("--dim", help="Number of leading dimensions of aligned vectors to keep. Default: all."),
]

DeviceName = Annotated[
    str,
    typer.Option("--device", help="auto, cpu or cuda, which also searches the index on the GPU (needs mvmr-zoo[gpu])."),
]


def library_folder(library: Path | None) -> Path:
    """The folder that --library names, or the default one."""
    from mvmr_zoo.models import default_library_path

    return library if library is not None else default_library_path()


def check_folder_option(output: str | os.PathLike[str] | None) -> None:
    """Raise ConfigError if --output, a file or folder here, is given the name of a model's output."""
    from mvmr_zoo.checkpoint import OUTPUTS

    if output is not None and os.fspath(output) in OUTPUTS:
        raise ConfigError(f"--output got {os.fspath(output)}; expected a path. Use --model-output {output}.")


def tell(text: str) -> None:
    """A note about what is going on."""
    typer.echo(text, err=True)
