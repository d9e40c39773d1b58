"""`mvmr-zoo`: the command line. Heavy modules are imported inside the commands, so `--help` is instant."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec

import typer

from mvmr_zoo import __version__
from mvmr_zoo.errors import MvmrError, describe_os_error

app = typer.Typer(
    help="Photos to compact feature vectors: index a folder, search it, look at the models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
index_app = typer.Typer(help="The photo library: add folders, see how it stands.", no_args_is_help=True)
app.add_typer(index_app, name="index")

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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

CANNOT_RUN = 2
SOME_FAILED = 1

_P = ParamSpec("_P")


def _explain_errors(command: Callable[_P, None]) -> Callable[_P, None]:
    """Turn a user's mistake into one line and exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MvmrError as error:
            typer.echo(f"Error: {_text(str(error))}", err=True)
            raise typer.Exit(CANNOT_RUN) from None
        except BrokenPipeError:
            raise  # the reader of our output has left: not an error to explain
        except OSError as error:
            typer.echo(f"Error: {_text(describe_os_error(error))}", err=True)
            raise typer.Exit(CANNOT_RUN) from None
        except KeyboardInterrupt:
            typer.echo("Stopped. What was done is kept; run the same command to go on.", err=True)
            raise typer.Exit(130) from None

    return wrapped


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Options before any command."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@index_app.command("add")
@_explain_errors
def index_add(
    folders: Annotated[list[Path], typer.Argument(help="Folders of photos; subfolders are searched too.")],
    library: Library = None,
    model: ModelSpec = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a photo could not be indexed.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Forget the photos of a folder that holds none now.")
    ] = False,
) -> None:
    """Index every photo below some folders. Run it again to take in what changed."""
    from mvmr_zoo.library import PhotoLibrary
    from mvmr_zoo.progress import progress_bar

    with PhotoLibrary(library, model=model) as photos, progress_bar("indexing") as progress:
        report = photos.add(folders, progress=progress, allow_empty=allow_empty)
        place = photos.folder
    typer.echo(
        f"{report.found} photos found: {report.added} indexed, {report.unchanged} unchanged, "
        f"{report.recognised} recognised by content, {report.removed} gone, {len(report.failures)} failed."
    )
    typer.echo(f"The library {place} holds {report.total} photos.")
    if report.failures:
        where = f" --library {shlex.quote(str(library))}" if library else ""
        typer.echo(f"`{_own_name()} index status{where}` lists the failures with their reasons.", err=True)
        if strict:
            raise typer.Exit(SOME_FAILED)


@index_app.command("status")
@_explain_errors
def index_status(library: Library = None, as_json: AsJson = False) -> None:
    """What the library holds, and what could not be indexed."""
    from mvmr_zoo.library import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        status = photos.status()
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "library": str(status.folder),
                    "model": status.model,
                    "photos": status.photos,
                    "index": {"generation": status.generation, "current": status.index_current},
                    "failures": [
                        {"path": os.fsdecode(failure.path), "stage": failure.stage, "reason": failure.reason}
                        for failure in status.failures
                    ],
                },
                indent=2,
            )
        )
        return
    typer.echo(f"library   {status.folder}")
    typer.echo(f"model     {status.model or 'none yet'}")
    typer.echo(f"photos    {status.photos}")
    state = "current" if status.index_current else "will be made again by the next command"
    typer.echo(f"index     generation {status.generation or 0}, {state}")
    typer.echo(f"failures  {len(status.failures)}")
    for failure in status.failures:
        typer.echo(f"  {_text(os.fsdecode(failure.path))}: {failure.reason}")


@app.command()
@_explain_errors
def search(
    photo: Annotated[Path, typer.Argument(help="The photo to search with.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10,
    library: Library = None,
    model: ModelSpec = None,
    as_json: AsJson = False,
    sheet: Annotated[Path | None, typer.Option(help="Write the query and its hits as one picture.")] = None,
) -> None:
    """The photos of the library most like one photo."""
    from mvmr_zoo.library import PhotoLibrary
    from mvmr_zoo.library.sheet import save_sheet

    with PhotoLibrary(library, model=model, create=False) as photos:
        hits = photos.search(photo, k)
    if sheet is not None:
        save_sheet(sheet, [(photo, hits)])
    if as_json:
        found = [{"id": hit.id, "path": os.fspath(hit.path), "score": round(hit.score, 6)} for hit in hits]
        typer.echo(json.dumps({"query": os.fspath(photo), "hits": found}, indent=2))
        return
    for rank, hit in enumerate(hits, start=1):
        typer.echo(f"{rank:>3}  {hit.score:.3f}  {_text(str(hit.path))}")
    if sheet is not None:
        typer.echo(f"contact sheet: {sheet}", err=True)


@app.command()
@_explain_errors
def models(as_json: AsJson = False) -> None:
    """Every model known by name: published figures are their authors', measured ones this project's."""
    from dataclasses import asdict

    from mvmr_zoo.zoo import list_models

    cards = list_models()
    if as_json:
        typer.echo(json.dumps([asdict(card) for card in cards], indent=2))
        return
    for card in cards:
        where = "bundled" if card.bundled else "not here"
        published = [f"published {name} {value:g} %" for name, value in card.published.items()]
        measured = [f"measured {name} {100 * value:.1f} %" for name, value in card.measured.items()]
        typer.echo(f"{card.name:<26} {card.architecture:<15} {card.embedding_dim:>4}  {where:<8}  {card.summary}")
        for figure in published + measured:
            typer.echo(f"{'':<26} {figure}")


@app.command()
@_explain_errors
def quickstart(
    folder: Annotated[Path, typer.Option(help="Where the sample photos, library and contact sheet go.")] = Path(
        "mvmr-quickstart"
    ),
) -> None:
    """The main job in one minute: make sample photos, index them, search them."""
    from mvmr_zoo.progress import progress_bar
    from mvmr_zoo.quickstart import quickstart as run

    with progress_bar("indexing") as progress:
        report = run(folder, progress=progress)
    typer.echo(
        f"Indexed {report.photos} photos of {report.photographs} photographs with {report.model}, "
        f"and searched with {report.queries} views held back.\n"
    )
    typer.echo("                        recall@1  recall@5")
    typer.echo(f"{report.model:<22}  {report.recall.at_1:8.3f}  {report.recall.at_5:8.3f}")
    typer.echo(f"{'raw 16 x 16 pixels':<22}  {report.pixels.at_1:8.3f}  {report.pixels.at_5:8.3f}\n")
    for name, seconds in report.seconds.items():
        typer.echo(f"{name:<24} {seconds:6.2f} s")
    typer.echo(f"\nContact sheet: {report.sheet}\n\nNext:")
    me = _own_name()
    typer.echo(f"  {me} search {shlex.quote(str(report.query))} --library {shlex.quote(str(report.library))}")
    typer.echo(f"  {me} index add ~/Pictures")
    typer.echo(f"  {me} search A-PHOTO.jpg --sheet hits.png")


def _own_name() -> str:
    """What to type to call this program again: its name where the shell finds it, else its path."""
    if shutil.which("mvmr-zoo"):
        return "mvmr-zoo"
    return shlex.quote(sys.argv[0]) if not sys.argv[0].endswith(".py") else f"{sys.executable} -m mvmr_zoo.cli"


def _text(path: str) -> str:
    """A path that any terminal can print: bytes that are not text, and line breaks, are escaped."""
    readable = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in readable)


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
