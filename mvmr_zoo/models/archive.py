"""A model in one tar file, for a machine without network."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from mvmr_zoo._io import scratch_folder, written_whole
from mvmr_zoo.checkpoint import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    HASHED,
    README_FILE,
    Checkpoint,
    move_into_place,
    read_checkpoint,
)
from mvmr_zoo.errors import CheckpointError, ConfigError, one_line
from mvmr_zoo.models.paths import zoo_folder, zoo_home
from mvmr_zoo.models.resolve import local_folder
from mvmr_zoo.models.verify import verify_checkpoint

_MEMBERS = frozenset({CONFIG_FILE, README_FILE, *HASHED})


def bundle(checkpoint: Checkpoint, output: str | os.PathLike[str]) -> None:
    """Write a checkpoint folder as `NAME/FILE` members of a tar file; the same folder gives the same bytes.

    Args:
        checkpoint: as read, so its hashes are right.
        output: the file to write; one that stands there is replaced when the new one is whole.

    Raises:
        ConfigError: the model's name could not be unbundled again.
    """
    target = Path(output)
    zoo_folder(checkpoint.config.name)
    names = [name for name in sorted(_MEMBERS) if (checkpoint.folder / name).exists()]
    with written_whole(target) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            path = checkpoint.folder / name
            member = tarfile.TarInfo(f"{checkpoint.config.name}/{name}")
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)


def unbundle(file: str | os.PathLike[str]) -> Checkpoint:
    """Put the model of a tar file into this machine's zoo, its hashes and golden answers checked.

    Raises:
        CheckpointError: it is no such file: a member is a link, lies elsewhere or does not belong to a checkpoint
            folder, or the folder is not sound. Nothing is left behind.
        ConfigError: another model of that name is here.
    """
    path = Path(file)
    with scratch_folder(zoo_home()) as scratch:
        name = _extract(path, scratch)
        try:
            found = read_checkpoint(scratch / name)
            verify_checkpoint(found)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {str(error).replace(f'{scratch}/', '')}") from None
        if found.config.name != name:
            raise CheckpointError(f"{path}: config.json says the model is {found.config.name!r}, its folder {name!r}.")
        here = local_folder(name)
        if here is not None:
            there = read_checkpoint(here.path)
            maps = [each.config.sha256.get(ALIGNMENT_FILE) for each in (there, found)]
            if there.weights_digest == found.weights_digest and maps[0] == maps[1]:
                return there
            raise ConfigError(
                f"Another {name}, with other weights or alignment, is on this machine: {here.path}. Remove it first."
            )
        move_into_place(scratch / name, zoo_folder(name))
    return Checkpoint(zoo_folder(name), found.config)


def _extract(path: Path, scratch: Path) -> str:
    """Write the members into `scratch`/NAME and return NAME. Links, devices, other names: nothing is written."""
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
            names = {_checked(path, member) for member in members}
            if len(names) != 1:
                raise CheckpointError(f"{path} holds the folders {sorted(names)}; expected one checkpoint folder.")
            (name,) = names
            (scratch / name).mkdir()
            for member in members:
                content = tar.extractfile(member)
                assert content is not None
                with (scratch / member.name).open("xb") as file:
                    while block := content.read(1 << 20):
                        file.write(block)
    except (tarfile.TarError, EOFError, FileExistsError, ValueError, OverflowError) as error:
        told = one_line(str(error).replace(f"{scratch}/", ""))
        raise CheckpointError(f"{path} is not a whole tar file of `mvmr-zoo bundle` ({told}).") from None
    return name


def _checked(path: Path, member: tarfile.TarInfo) -> str:
    """The folder's name in `FOLDER/FILE`. Raises CheckpointError for any member that `bundle` would not write."""
    folder, _, name = member.name.partition("/")
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
    try:
        zoo_folder(folder)
    except ConfigError:
        plain = False
    if not plain or name not in _MEMBERS:
        raise CheckpointError(
            f"{path}: its member {member.name!r} is not a plain file of a checkpoint folder. Nothing was written."
        )
    return folder
