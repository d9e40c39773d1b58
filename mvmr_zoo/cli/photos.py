"""`mvmr-zoo index`, `quickstart`: the photo library."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo.errors import printable
from mvmr_zoo.terminal import SOME_FAILED, AsJson, explain_errors, own_name

_NAMES_SHOWN = 10

app = typer.Typer()
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


@index_app.command("add")
@explain_errors
def index_add(
    folders: Annotated[list[Path], typer.Argument(help="Folders of photos; subfolders are searched too.")],
    library: Library = None,
    model: ModelSpec = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when a photo could not be indexed.")] = False,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Take the photos of a folder that holds none now for missing.")
    ] = False,
    include: Annotated[
        list[str] | None, typer.Option(help="Take only photos of such names, as '*.heic' or '2024/*'.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Leave out photos and folders of such names, as 'thumbs'.")
    ] = None,
) -> None:
    """Index every photo below some folders. Run it again to take in what changed."""
    from mvmr_zoo.library import Globs, PhotoLibrary
    from mvmr_zoo.progress import progress_bar

    globs = Globs(tuple(include or ()), tuple(exclude or ()))
    with PhotoLibrary(library, model=model) as photos, progress_bar("indexing") as progress:
        try:
            report = photos.add(folders, progress=progress, allow_empty=allow_empty, globs=globs)
        except KeyboardInterrupt:
            typer.echo("What was done is kept; run the same command to go on.", err=True)
            raise
        place = photos.folder
    typer.echo(
        f"{report.found} photos found: {report.added} indexed, {report.unchanged} unchanged, "
        f"{report.recognised} recognised by content, {report.removed} gone, {len(report.failures)} failed."
    )
    typer.echo(f"The library {place} holds {report.total} photos.")
    if report.failures:
        where = f" --library {shlex.quote(str(library))}" if library else ""
        typer.echo(f"`{own_name()} index status{where}` lists the failures with their reasons.", err=True)
        if strict:
            raise typer.Exit(SOME_FAILED)


@index_app.command("status")
@explain_errors
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
                    "missing": status.missing,
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
    missing = f", and {status.missing} missing (`{own_name()} index prune` forgets them)" if status.missing else ""
    typer.echo(f"photos    {status.photos}{missing}")
    state = "current" if status.index_current else "will be made again by the next command"
    typer.echo(f"index     generation {status.generation or 0}, {state}")
    typer.echo(f"failures  {len(status.failures)}")
    for failure in status.failures:
        typer.echo(f"  {printable(os.fsdecode(failure.path))}: {failure.reason}")


@index_app.command("prune")
@explain_errors
def index_prune(library: Library = None) -> None:
    """Forget the photos whose files are missing."""
    from mvmr_zoo.library import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        pruned = photos.prune()
    typer.echo(f"{pruned.forgotten} missing photos forgotten, {pruned.back} found to be there again.")


@index_app.command("doctor")
@explain_errors
def index_doctor(
    library: Library = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be put right.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look the library over: damaged vectors, an index that does not match, files left over, photos that are gone."""
    from mvmr_zoo.library import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        findings = photos.examine()
        if repair:
            for finding in findings:
                if finding.repair is not None:
                    finding.repair()
    left = [finding for finding in findings if not repair or finding.repair is None]
    if as_json:
        plain = [{"what": f.what, "names": f.names, "repaired": f not in left, "advice": f.advice} for f in findings]
        typer.echo(json.dumps(plain, indent=2))
    else:
        for finding in findings:
            typer.echo(f"{finding.what}: {'repaired.' if finding not in left else finding.advice}")
            for name in finding.names[:_NAMES_SHOWN]:
                typer.echo(f"  {printable(name)}")
            if len(finding.names) > _NAMES_SHOWN:
                typer.echo(f"  and {len(finding.names) - _NAMES_SHOWN} more (--json lists all)")
        typer.echo("The library is sound." if not findings else f"{len(findings)} findings, {len(left)} left.")
    if left:
        raise typer.Exit(SOME_FAILED)


@app.command()
@explain_errors
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
    me = own_name()
    typer.echo(f"  {me} search {shlex.quote(str(report.query))} --library {shlex.quote(str(report.library))}")
    typer.echo(f"  {me} index add ~/Pictures")
    typer.echo(f"  {me} search A-PHOTO.jpg --sheet hits.png")
