"""`mvmr-zoo index status`, `reindex`, `tune`, `build`, `doctor`, `remove` and `prune`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvmr_zoo._io import SOME_FAILED, AsJson, counted, explain_errors, own_name
from mvmr_zoo.cli import index_add  # noqa: F401  (`add` is listed first)
from mvmr_zoo.cli.options import EncoderDevice, Library, ModelDim, ModelOutput, index_app, library_folder, tell
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
    """Show what the library contains, and which photos failed."""
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
        typer.echo(f"          run `{printable(command)}` to finish switching to another encoder")
    elif status.model not in (None, DEFAULT_MODEL):
        command = reindex_command(status.folder)
        typer.echo(f"          run `{printable(command)}` to switch to the default encoder, {DEFAULT_MODEL}")
    missing = (
        f", and {status.missing:,} missing (run `{own_name()} index prune` to remove them)" if status.missing else ""
    )
    typer.echo(f"photos    {status.photos:,}{missing}")
    typer.echo(f"index     {_index_in_words(status)}")
    if status.index and status.index.tuning:
        _show_curve(status.index.tuning)
    typer.echo(f"failures  {len(status.failures):,}")
    for failure in status.failures:
        typer.echo(f"  {printable(os.fsdecode(failure.path))}: {failure.reason}")


def _index_in_words(status: Status) -> str:
    if status.index is None:
        return "none yet"
    state = "up to date" if status.index_current else "out of date; the next `index add` rebuilds it"
    return f"{_kind(status.index)}, {state}"


def _kind(manifest: Manifest) -> str:
    tuning = manifest.tuning
    return "exact" if tuning is None else f"{tuning.nprobe} of {tuning.lists} clusters searched"


def _plain(status: Status) -> dict[str, object] | None:
    """The index as JSON."""
    if status.index is None:
        return None
    facts = asdict(status.index)
    return {name: facts[name] for name in ("kind", "generation", "rows", "tuning")} | {"current": status.index_current}


@index_app.command("reindex")
@explain_errors
def index_reindex(
    library: Library = None,
    model: Annotated[str | None, typer.Option(help="New encoder. Default: the default encoder.")] = None,
    output: ModelOutput = None,
    dim: ModelDim = None,
    device: EncoderDevice = "auto",
    forget_missing: Annotated[
        bool, typer.Option("--forget-missing", help="Remove photos from the library if their files no longer exist.")
    ] = False,
) -> None:
    """Recompute the library's vectors with another encoder.

    All photos are read again. Searches use the old vectors until all new ones are ready. If the command is
    interrupted, run it again to continue.
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
            typer.echo("Progress is saved. Run the same command again to continue.", err=True)
            raise
        place = photos.folder
    resumed = f", {report.resumed:,} embedded before the interruption" if report.resumed else ""
    removed = f", {counted(report.forgotten, 'missing photo')} removed" if report.forgotten else ""
    typer.echo(f"{counted(report.embedded, 'photo')} embedded{resumed}, {len(report.failures):,} failed{removed}.")
    typer.echo(
        f"The library {printable(str(place))} now has {counted(report.total, 'photo')} and the encoder "
        f"{printable(report.model)}."
    )


@index_app.command("tune")
@explain_errors
def index_tune(
    recall: Annotated[
        float, typer.Option(help="Target recall: share of the 10 nearest photos to find, on average.")
    ] = 0.99,
    library: Library = None,
) -> None:
    """Choose how many clusters each query searches.

    Searching more clusters is slower but finds more of the nearest photos. The recall is measured against exact search,
    for photos that the clusters were not trained on.
    """
    from mvmr_zoo.embed.folder import is_embeddings_folder
    from mvmr_zoo.search import PhotoLibrary, build_ivfpq

    folder = library_folder(library)
    if is_embeddings_folder(folder):
        _show_ivfpq(folder, build_ivfpq(folder, recall=recall, note=tell))
        return
    with PhotoLibrary(library, create=False) as photos:
        manifest = photos.tune(recall, note=tell)
    if manifest.tuning is None:
        typer.echo(f"The index of {counted(manifest.rows, 'photo')} is exact. There is nothing to tune.")
    else:
        typer.echo(f"The index of {counted(manifest.rows, 'photo')}: {_kind(manifest)}.")
        _show_curve(manifest.tuning)


@index_app.command("build")
@explain_errors
def index_build(
    folder: Annotated[Path, typer.Option("--from", help="Embeddings folder written by `mvmr-zoo embed`.")],
    recall: Annotated[
        float, typer.Option(help="Target recall: share of the 10 nearest photos to find, on average.")
    ] = 0.99,
) -> None:
    """Build an index for an embeddings folder.

    The build keeps all compressed vectors in memory; a search does not. To search, run `mvmr-zoo search PHOTO --library
    FOLDER` with the same folder. If the command is interrupted, run it again to continue.
    """
    from mvmr_zoo._io import progress_bar
    from mvmr_zoo.search import build_ivfpq

    with progress_bar("indexing") as progress:
        lists = build_ivfpq(folder, recall=recall, progress=progress, note=tell)
    _show_ivfpq(folder, lists)


def _show_ivfpq(folder: Path, lists: IvfPq) -> None:
    tuning = lists.tuning
    typer.echo(
        f"{printable(str(folder))}: {counted(lists.rows, 'vector')} of {lists.code_bytes} bytes each. "
        f"Each query searches {tuning.nprobe} of {tuning.lists} clusters."
    )
    if tuning.chosen.low < tuning.target:
        typer.echo(
            f"The target recall of {tuning.target} was not reached because the compressed vectors are not "
            "precise enough."
        )
    _show_curve(tuning)


def _show_curve(tuning: Tuning) -> None:
    """Print the measured recall, one line per number of clusters."""
    typer.echo(
        f"  recall@10 for {counted(tuning.queries, 'held-out photo')} among {tuning.rows:,}, target {tuning.target}, "
        "one thread"
    )
    typer.echo("    clusters  recall@10  lower bound  ms per query")
    for point in tuning.curve:
        mark = "  <- used" if point.nprobe == tuning.nprobe else ""
        typer.echo(f"    {point.nprobe:>8}  {point.recall:>9.4f}  {point.low:>11.4f}  {point.query_ms:>12.2f}{mark}")


@index_app.command("doctor")
@explain_errors
def index_doctor(
    library: Library = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair all problems except missing photos.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the library, and repair it with --repair.

    It finds damaged vectors, an index that does not match the photos, leftover files, and photos whose files are
    missing. The exit code is 1 if a problem remains.
    """
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
                typer.echo(f"  and {len(finding.names) - _NAMES_SHOWN:,} more (--json lists all)")
        typer.echo(
            "No problems found." if not findings else f"{counted(len(findings), 'problem')} found, {len(left)} left."
        )
    if left:
        raise typer.Exit(SOME_FAILED)


@index_app.command("remove")
@explain_errors
def index_remove(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders whose photos are removed from the library. No file is deleted.")
    ],
    library: Library = None,
) -> None:
    """Remove all photos in the given folders from the library."""
    from mvmr_zoo.search import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        removed = photos.remove(folders)
    typer.echo(f"{counted(removed, 'photo')} removed from the library. No file was deleted.")


@index_app.command("prune")
@explain_errors
def index_prune(library: Library = None) -> None:
    """Remove from the library all photos whose files no longer exist."""
    from mvmr_zoo.search import PhotoLibrary

    with PhotoLibrary(library, create=False) as photos:
        pruned = photos.prune()
    exist = "exists again and was kept" if pruned.back == 1 else "exist again and were kept"
    kept = f" {counted(pruned.back, 'file')} {exist}." if pruned.back else ""
    typer.echo(f"{counted(pruned.forgotten, 'missing photo')} removed from the library.{kept}")
