"""`mvmr-zoo index status`, `reindex`, `tune`, `build`, `doctor`, `remove` and `prune`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo._io import SOME_FAILED, AsJson, explain_errors, own_name
from mvmr_zoo.cli import index_add  # noqa: F401  (`add` is listed first)
from mvmr_zoo.cli.options import DeviceName, Library, ModelDim, ModelOutput, index_app, library_folder, tell
from mvmr_zoo.errors import printable

if TYPE_CHECKING:
    from mvmr_zoo.checkpoint import Output
    from mvmr_zoo.models import Device
    from mvmr_zoo.search import IvfPq, Status
    from mvmr_zoo.search.index import Manifest, Tuning

_NAMES_SHOWN = 10


@index_app.command("status")
@explain_errors
def index_status(library: Library = None, as_json: AsJson = False) -> None:
    """What the library holds, and what could not be indexed."""
    from mvmr_zoo.embed.folder import is_embeddings_folder
    from mvmr_zoo.models import DEFAULT_MODEL
    from mvmr_zoo.search import PhotoLibrary, read_ivfpq

    folder = library_folder(library)
    if is_embeddings_folder(folder):
        lists = read_ivfpq(folder)
        if as_json:
            typer.echo(json.dumps({"library": str(folder), **asdict(lists)}, indent=2))
        else:
            _show_ivfpq(folder, lists)
        return
    with PhotoLibrary(library, create=False) as photos:
        status = photos.status()
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "library": str(status.folder),
                    "model": status.model,
                    "output": status.output,
                    "dim": status.dim,
                    "moving_to": status.moving_to,
                    "default_model": DEFAULT_MODEL,
                    "photos": status.photos,
                    "missing": status.missing,
                    "index": _plain(status),
                    "failures": [
                        {"path": os.fsdecode(failure.path), "stage": failure.stage, "reason": failure.reason}
                        for failure in status.failures
                    ],
                },
                indent=2,
            )
        )
        return
    typer.echo(f"library   {printable(str(status.folder))}")
    from mvmr_zoo.checkpoint import output_in_words
    from mvmr_zoo.search import reindex_command

    output = f" ({output_in_words(status.output, status.dim)})" if status.output and status.dim else ""
    typer.echo(f"model     {printable(status.model or 'none yet')}{output}")
    if status.moving_to is not None:
        command = reindex_command(status.folder, status.moving_to)
        typer.echo(f"          unfinished: `{printable(command)}` continues to move the library to this encoder")
    elif status.model not in (None, DEFAULT_MODEL):
        command = reindex_command(status.folder)
        typer.echo(f"          `{printable(command)}` moves the library to the default encoder, {DEFAULT_MODEL}")
    missing = f", and {status.missing} missing (`{own_name()} index prune` forgets them)" if status.missing else ""
    typer.echo(f"photos    {status.photos}{missing}")
    typer.echo(f"index     {_index_in_words(status)}")
    if status.index and status.index.tuning:
        _show_curve(status.index.tuning)
    typer.echo(f"failures  {len(status.failures)}")
    for failure in status.failures:
        typer.echo(f"  {printable(os.fsdecode(failure.path))}: {failure.reason}")


def _index_in_words(status: Status) -> str:
    if status.index is None:
        return "none yet"
    state = "current" if status.index_current else "will be made again by the next `index add`"
    return f"{_kind(status.index)}, generation {status.index.generation}, {state}"


def _kind(manifest: Manifest) -> str:
    tuning = manifest.tuning
    return "exact" if tuning is None else f"{tuning.nprobe} of {tuning.lists} lists searched"


def _plain(status: Status) -> dict[str, object] | None:
    """What the index is, for JSON."""
    if status.index is None:
        return None
    facts = asdict(status.index)
    return {name: facts[name] for name in ("kind", "generation", "rows", "tuning")} | {"current": status.index_current}


@index_app.command("reindex")
@explain_errors
def index_reindex(
    library: Library = None,
    model: Annotated[str | None, typer.Option(help="Encoder to move to. Default: the default encoder.")] = None,
    output: ModelOutput = None,
    dim: ModelDim = None,
    device: DeviceName = "auto",
    forget_missing: Annotated[
        bool, typer.Option("--forget-missing", help="Forget the photos whose files are missing.")
    ] = False,
) -> None:
    """Move the library to another encoder. The old vectors answer until all new ones are there.

    Every photo is read once more. Run the same command again to go on after a kill.
    """
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.models import DEFAULT_MODEL
    from mvmr_zoo.search import PhotoLibrary

    with (
        PhotoLibrary(library, create=False, device=cast("Device", device)) as photos,
        progress_bar("indexing") as progress,
    ):
        try:
            report = photos.reindex(
                model or DEFAULT_MODEL,
                output=cast("Output", output),
                dim=dim,
                forget_missing=forget_missing,
                progress=progress,
                note=tell,
            )
        except KeyboardInterrupt:
            typer.echo("What was done is kept; run the same command to go on.", err=True)
            raise
        place = photos.folder
    done = f"{report.embedded} photos embedded" + (f", {report.resumed} were before" if report.resumed else "")
    forgotten = f", {report.forgotten} missing ones forgotten" if report.forgotten else ""
    typer.echo(f"{done}, {len(report.failures)} failed{forgotten}.")
    typer.echo(
        f"The library {printable(str(place))} of {report.total} photos belongs to {printable(report.model)} now."
    )


@index_app.command("tune")
@explain_errors
def index_tune(
    recall: Annotated[float, typer.Option(help="Share of the 10 nearest photos that a search is to find.")] = 0.99,
    library: Library = None,
) -> None:
    """Choose how many lists a search looks into, by measuring against exact search with photos held out of training."""
    from mvmr_zoo.embed.folder import is_embeddings_folder
    from mvmr_zoo.search import PhotoLibrary, build_ivfpq

    folder = library_folder(library)
    if is_embeddings_folder(folder):
        _show_ivfpq(folder, build_ivfpq(folder, recall=recall, note=tell))
        return
    with PhotoLibrary(library, create=False) as photos:
        manifest = photos.tune(recall, note=tell)
    if manifest.tuning is None:
        typer.echo(
            f"The index of {manifest.rows:,} photos is exact: it finds all of them, and there is nothing to tune."
        )
    else:
        typer.echo(f"The index of {manifest.rows:,} photos: {_kind(manifest)}.")
        _show_curve(manifest.tuning)


@index_app.command("build")
@explain_errors
def index_build(
    folder: Annotated[Path, typer.Option("--from", help="An embeddings folder of `mvmr-zoo embed`.")],
    recall: Annotated[float, typer.Option(help="Share of the 10 nearest photos that a search is to find.")] = 0.99,
) -> None:
    """Make an embeddings folder searchable, however large: IVF-PQ, shard by shard. Run it again to go on after a kill.

    `mvmr-zoo search PHOTO --library FOLDER` searches it.
    """
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.search import build_ivfpq

    with progress_bar("indexing") as progress:
        lists = build_ivfpq(folder, recall=recall, progress=progress, note=tell)
    _show_ivfpq(folder, lists)


def _show_ivfpq(folder: Path, lists: IvfPq) -> None:
    tuning = lists.tuning
    typer.echo(
        f"{printable(str(folder))}: {lists.rows:,} vectors as {lists.code_bytes} bytes each, "
        f"{tuning.nprobe} of {tuning.lists} lists searched."
    )
    if tuning.chosen.low < tuning.target:
        typer.echo(f"A recall of {tuning.target} was not reached: the codes are too short for it.")
    _show_curve(tuning)


def _show_curve(tuning: Tuning) -> None:
    """What was measured, a line a number of lists."""
    typer.echo(
        f"  recall@10 of {tuning.queries:,} held-out photos among {tuning.rows:,}, wanted {tuning.target}; one thread"
    )
    typer.echo("    lists  recall@10  at least  ms a query")
    for point in tuning.curve:
        mark = "  <- used" if point.nprobe == tuning.nprobe else ""
        typer.echo(f"    {point.nprobe:>5}  {point.recall:>9.4f}  {point.low:>8.4f}  {point.query_ms:>10.2f}{mark}")


@index_app.command("doctor")
@explain_errors
def index_doctor(
    library: Library = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be put right.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look the library over: damaged vectors, an index that does not match, files left over, photos that are gone."""
    from mvmr_zoo.search import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        findings = photos.examine()
        if repair:
            photos.repair(findings)
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
        typer.echo("The library is sound." if not findings else f"{len(findings)} found, {len(left)} left.")
    if left:
        raise typer.Exit(SOME_FAILED)


@index_app.command("remove")
@explain_errors
def index_remove(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders whose photos are to be forgotten; no file is touched.")
    ],
    library: Library = None,
) -> None:
    """Forget the photos of some folders."""
    from mvmr_zoo.search import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        removed = photos.remove(folders)
    typer.echo(f"{removed} photos forgotten. No file was touched.")


@index_app.command("prune")
@explain_errors
def index_prune(library: Library = None) -> None:
    """Forget the photos whose files are missing."""
    from mvmr_zoo.search import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        pruned = photos.prune()
    typer.echo(f"{pruned.forgotten} missing photos forgotten, {pruned.back} found to be there again.")
