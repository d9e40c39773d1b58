"""Publish a checkpoint folder on the Hugging Face Hub. It is verified before the upload and loaded again afterwards.

python -m training.push FOLDER --repo org/name [--report FILE]... [--private] [--tag v1] [--dry-run]
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo._io import explain_errors, scratch_folder
from mvmr_zoo.checkpoint import README_FILE, Checkpoint, Figure, Pin, is_licensed, read_checkpoint, write_facts
from mvmr_zoo.errors import ConfigError, printable
from mvmr_zoo.evaluate import card_figures, read_report
from mvmr_zoo.models import verify_checkpoint
from mvmr_zoo.models.hub import HubSpec, Pushed, add_tag, check_tag, parse_hub_spec, pull, push
from training.pin import pin_in_catalog

REPORTS = "reports"
"""Folder of a repository with the evaluation reports behind its results."""


def prepare(checkpoint: Checkpoint, where: HubSpec, reports: Sequence[Path], target: Path) -> Checkpoint:
    """Copy a checkpoint folder to `target`, with the reports, their results and the model card.

    Args:
        checkpoint: The checkpoint to publish. Its folder is not changed.
        where: The repository.
        reports: JSON reports of evaluation protocols.
        target: A new folder.

    Raises:
        ConfigError: A report was measured with other weights or another preprocessing.
        DataError: A report cannot be read.
    """
    target.mkdir()
    figures: dict[str, Figure] = dict(checkpoint.config.metrics)
    for path in reports:
        measured = card_figures(checkpoint, read_report(path), f"{REPORTS}/{path.name}")
        if not path.name.isascii() or not path.name.isprintable():
            raise ConfigError(f"The report {printable(path.name)} has a name that is not printable ASCII. Rename it.")
        if (target / REPORTS / path.name).exists():
            raise ConfigError(f"Two reports are named {path.name}. Rename one of them.")
        (target / REPORTS).mkdir(exist_ok=True)
        shutil.copyfile(path, target / REPORTS / path.name)
        figures |= measured
    for name in checkpoint.config.sha256:
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, target / name)
    config = replace(checkpoint.config, metrics=figures)
    write_facts(target, config, spec=f"hf-hub:{where.repo}")
    return read_checkpoint(target)


def publish(prepared: Checkpoint, where: HubSpec, *, private: bool, tag: str | None) -> Pushed:
    """Upload in one commit, then load back from the Hub into an empty cache and check the golden outputs.

    Args:
        prepared: The folder that `prepare` made.
        where: The repository.
        private: Whether the repository is private.
        tag: Tag of the commit.

    Raises:
        HubError: The Hub cannot be reached, or rejects the upload.
        CheckpointError: The downloaded folder differs from the uploaded one.
    """
    pushed = push(prepared.folder, where.repo, private=private, tag=tag, message=f"{prepared.config.name}, by mvmr-zoo")
    with scratch_folder() as empty:
        back = pull(pushed.where, sha256=prepared.config_digest, cache=empty)
        verify_checkpoint(back)
    if tag is not None:
        add_tag(pushed.where, tag)
    return pushed


def run(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    repo: Annotated[str, typer.Option(help="Repository on the Hub, as ORG/NAME.")],
    report: Annotated[
        list[Path] | None,
        typer.Option(help="Evaluation report (JSON) of these weights to add to the model card. Can be repeated."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
    tag: Annotated[str | None, typer.Option(help="Tag for the commit, for example v1.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the model card and the files without uploading.")
    ] = False,
    update_catalog: Annotated[
        bool, typer.Option("--update-catalog", help="Add this revision of the model to the catalog in this checkout.")
    ] = False,
) -> None:
    """Publish a checkpoint folder on the Hugging Face Hub.

    It is verified before the upload and loaded again afterwards.
    """
    where = parse_hub_spec(repo)
    if "@" in repo:
        raise ConfigError(f"--repo is {repo!r}; expected ORG/NAME alone. --tag names the new commit.")
    if tag is not None:
        check_tag(tag)
    checkpoint = read_checkpoint(folder)
    if not is_licensed(checkpoint.config.license) and not private:
        raise ConfigError(
            f"{folder}: the license is not stated, so these weights may not be published. Add --private for a private "
            "repository."
        )
    verify_checkpoint(checkpoint)
    with scratch_folder() as scratch:
        prepared = prepare(checkpoint, where, report or [], scratch / "checkpoint")
        if dry_run:
            typer.echo((prepared.folder / README_FILE).read_text(encoding="utf-8"))
            for path in sorted(each for each in prepared.folder.rglob("*") if each.is_file()):
                typer.echo(f"{path.stat().st_size:>12,}  {path.relative_to(prepared.folder)}")
            if prepared.config.base is not None:
                typer.echo(prepared.config.base.needs)
            typer.echo(f"Dry run: nothing was uploaded to {where.repo}.")
            return
        pushed = publish(prepared, where, private=private, tag=tag)
        digest = prepared.config_digest
    typer.echo(f"{pushed.url}\nLoaded again from the Hub: hashes and reference outputs match.")
    if prepared.config.base is not None:
        typer.echo(prepared.config.base.needs)
    typer.echo(f'Try it: mvmr_zoo.load("hf-hub:{where.repo}@{tag or pushed.where.revision}")')
    if update_catalog:
        place = pin_in_catalog(prepared.config, Pin(repo=where.repo, revision=pushed.where.revision, sha256=digest))
        typer.echo(f"Added this revision to {place}. Commit that file.")


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)
app.command()(explain_errors(run))

if __name__ == "__main__":
    app()
