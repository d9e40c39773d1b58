"""`mvmr-zoo vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo._io import counted, explain_errors
from mvmr_zoo.cli.options import Library
from mvmr_zoo.errors import ConfigError, printable

app = typer.Typer()


@app.command()
@explain_errors
def vectors(
    output: Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")],
    library: Library = None,
    folder: Annotated[
        Path | None, typer.Option("--from", help="Embeddings folder to read instead of the library.")
    ] = None,
) -> None:
    """Export the vectors to one Parquet file.

    The file also contains the path of each photo and, for a library, its date, dimensions and file size. It can be
    loaded into pgvector, Qdrant, Milvus and other vector databases.
    """
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.search import PhotoLibrary, write_folder_parquet, write_library_parquet

    if library is not None and folder is not None:
        raise ConfigError("Both --library and --from are given. Use one of them.")
    with progress_bar("writing") as progress:
        if folder is not None:
            rows = write_folder_parquet(output, folder, progress=progress)
        else:
            with PhotoLibrary(library, create=False) as opened:
                rows = write_library_parquet(output, opened, progress=progress)
    typer.echo(f"{printable(str(output))}: {counted(rows, 'vector')}.")
