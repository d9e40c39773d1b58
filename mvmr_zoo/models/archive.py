"""Bundle a model into one tar file, for machines without a network connection."""

from __future__ import annotations

import itertools
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from mvmr_zoo._io import check_regular, open_regular, scratch_folder, written_whole
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
    """Write a checkpoint folder to a tar file with members `NAME/FILE`. Equal folders give equal bytes.

    Args:
        checkpoint: Checkpoint as `read_checkpoint` returns it, with its hashes already checked.
        output: File to write. An existing file is replaced only after the new one is complete.

    Raises:
        ConfigError: The model has a name that `unbundle` does not accept.
    """
    target = Path(output)
    zoo_folder(checkpoint.config.name)
    names = [name for name in sorted(_MEMBERS) if (checkpoint.folder / name).exists()]
    with written_whole(target) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            path = checkpoint.folder / name
            member = tarfile.TarInfo(f"{checkpoint.config.name}/{name}")
            member.size, member.mode = path.stat().st_size, 0o644
            with open_regular(path) as file:
                tar.addfile(member, file)


def unbundle(file: str | os.PathLike[str]) -> Checkpoint:
    """Extract the model of a tar file into the zoo, after its hashes and golden outputs are checked.

    Args:
        file: Tar file that `bundle` wrote.

    Raises:
        CheckpointError: The file is not a bundle. For example, a member is a link, has a path outside the folder or
            does not belong to a checkpoint folder, or the checkpoint fails the checks. Nothing is left behind.
        ConfigError: A different model of the same name is on this machine.
    """
    path = check_regular(Path(file))
    with scratch_folder(zoo_home()) as scratch:
        name = _extract(path, scratch)
        try:
            checkpoint = read_checkpoint(scratch / name)
            verify_checkpoint(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {str(error).replace(f'{scratch}/', '')}") from None
        if checkpoint.config.name != name:
            raise CheckpointError(
                f"{path}: config.json gives the name {checkpoint.config.name!r}, but the folder is named {name!r}."
            )
        local = local_folder(name)
        if local is not None:
            existing = read_checkpoint(local.path)
            alignments = [each.config.sha256.get(ALIGNMENT_FILE) for each in (existing, checkpoint)]
            if existing.weights_digest == checkpoint.weights_digest and alignments[0] == alignments[1]:
                return existing
            raise ConfigError(
                f"A different {name}, with other weights or another alignment, is already on this machine: "
                f"{local.path}. Remove it first."
            )
        move_into_place(scratch / name, zoo_folder(name))
    return replace(checkpoint, folder=zoo_folder(name))


def _extract(path: Path, scratch: Path) -> str:
    """Extract the members into `scratch`/NAME and return NAME. Nothing is written if any member is not acceptable."""
    try:
        with open_regular(path) as file:
            members = list(_members(path, file))
            names = {_checked_folder(path, member) for member in members}
            if len(names) != 1:
                raise CheckpointError(f"{path} contains the folders {sorted(names)}; expected one checkpoint folder.")
            (name,) = names
            (scratch / name).mkdir()
            for member in members:
                _copy(file, member, scratch / member.name)
    except (tarfile.TarError, FileExistsError) as error:
        reason = one_line(str(error).replace(f"{scratch}/", ""))
        raise CheckpointError(f"{path} is not a complete tar file from `mvmr-zoo bundle` ({reason}).") from None
    return name


def _members(path: Path, file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The members of a tar file.

    `tarfile` reads headers for long names, sparse files and other extensions while it looks for a member, which takes
    any time and memory. `bundle` writes none of them, so here every header must be that of a plain file.

    Raises:
        CheckpointError: A member is not a file of a checkpoint folder, has a negative size or ends outside the file, or
            there are too many members.
        tarfile.TarError: A header is damaged.
    """
    file_bytes = os.fstat(file.fileno()).st_size
    at = 0
    for count in itertools.count():
        file.seek(at)
        block = file.read(tarfile.BLOCKSIZE)
        if count and block in (b"", bytes(tarfile.BLOCKSIZE)):  # the end, with or without its mark
            return
        member = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        member.offset_data = at + tarfile.BLOCKSIZE
        _checked_folder(path, member)
        if not 0 <= member.size <= file_bytes - member.offset_data:
            raise CheckpointError(
                f"{path}: the header of {member.name!r} gives a size of {member.size:,} bytes, which is impossible in "
                "this archive. The archive is truncated or damaged. Copy it again."
            )
        if count >= len(_MEMBERS):
            raise CheckpointError(f"{path} contains more files than a checkpoint folder can have.")
        yield member
        at = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _copy(file: BinaryIO, member: tarfile.TarInfo, target: Path) -> None:
    """Write a member to a file that does not exist yet."""
    file.seek(member.offset_data)
    left = member.size
    with target.open("xb") as output:
        while left and (block := file.read(min(left, 1 << 20))):
            output.write(block)
            left -= len(block)


def _checked_folder(path: Path, member: tarfile.TarInfo) -> str:
    """The folder name of a member `FOLDER/FILE`. Raises CheckpointError for a member that `bundle` does not write."""
    folder, _, name = member.name.partition("/")
    acceptable = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
    try:
        zoo_folder(folder)
    except ConfigError:
        acceptable = False
    if not acceptable or name not in _MEMBERS:
        raise CheckpointError(
            f"{path}: the member {member.name!r} is not a regular file of a checkpoint folder. Nothing was extracted."
        )
    return folder
