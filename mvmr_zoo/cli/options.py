"""Options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo.errors import ConfigError

index_app = typer.Typer(help="Manage the photo library.", no_args_is_help=True)

Library = Annotated[
    Path | None,
    typer.Option(
        "--library",
        "-L",
        help="Library folder. Default: $MVMR_LIBRARY, or ~/.local/share/mvmr_zoo/library if it is not set.",
    ),
]
ModelSpec = Annotated[
    str | None,
    typer.Option(
        help="Model name, folder, or external model such as timm:NAME. Default: the library's model, or the default "
        "model for a new library."
    ),
]

ModelOutput = Annotated[
    str | None,
    typer.Option(
        "--model-output",
        help="Output of the model: features, or aligned if the model has it. Default: the model's default output.",
    ),
]
ModelDim = Annotated[
    int | None,
    typer.Option("--dim", help="Number of leading dimensions of aligned vectors to keep. Default: all."),
]

DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu or cuda. cuda needs mvmr-zoo[gpu], and searches the index on the GPU too.",
    ),
]
EncoderDevice = Annotated[
    str, typer.Option("--device", help="Device of the encoder: auto, cpu or cuda. cuda needs mvmr-zoo[gpu].")
]


def library_folder(library: Path | None) -> Path:
    """The folder of --library, or the default library."""
    from mvmr_zoo.models import default_library_path

    return library if library is not None else default_library_path()


def check_folder_option(output: str | os.PathLike[str] | None) -> None:
    """Raise ConfigError if --output, a path, was given `features` or `aligned`, which belong to --model-output."""
    from mvmr_zoo.checkpoint import OUTPUTS

    if output is not None and os.fspath(output) in OUTPUTS:
        raise ConfigError(f"--output is {os.fspath(output)}; expected a path. Use --model-output {output}.")


def tell(text: str) -> None:
    """Print a note about slow work on standard error."""
    typer.echo(text, err=True)
