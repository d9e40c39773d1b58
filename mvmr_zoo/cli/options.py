"""What the commands of the photo library share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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

DeviceName = Annotated[
    str,
    typer.Option("--device", help="auto, cpu or cuda, which also searches the index on the GPU (needs mvmr-zoo[gpu])."),
]


def library_folder(library: Path | None) -> Path:
    """The folder that --library names, or the default one."""
    from mvmr_zoo.home import default_library_path

    return library if library is not None else default_library_path()


def tell(text: str) -> None:
    """A note about what is going on."""
    typer.echo(text, err=True)
