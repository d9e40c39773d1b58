"""Photos by their paths: all below a folder, or those that a text file lists."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mvmr_zoo.embed.inputs import Input, InputList, file_stamp, list_names
from mvmr_zoo.errors import DataError
from mvmr_zoo.images import file_reason, scan_folder

_BOM = b"\xef\xbb\xbf"
_LONGEST = 65_536  # bytes a line; Linux opens paths of 4,096


@dataclass(frozen=True)
class FolderSource:
    """Every photo below a folder, found as the photo library finds them, by path.

    Args:
        name: what a person calls the folder.
        paths: absolute, sorted.
        problems: why a folder or a file could not be looked at, by path; these are inputs that fail.
    """

    name: str
    paths: list[bytes]
    problems: dict[bytes, str]

    def stamp(self) -> None:
        """Always the same: the folder was scanned once."""

    def listed(self) -> InputList:
        """The list as it was scanned."""
        return list_names(self.paths)

    def inputs(self, first: int, last: int) -> Iterator[Input]:
        """Inputs `first` to `last`, without the last one."""
        for path in self.paths[first:last]:
            yield Input(os.fsdecode(path), problem=self.problems.get(path))


def folder_source(folder: str) -> FolderSource:
    """Scan a folder.

    Raises:
        DataError: it cannot be read, or holds no photo.
    """
    root = os.path.realpath(folder)
    scan = scan_folder(os.fsencode(root))
    problems = {row.path: row.reason for row in scan.unreadable}
    if not scan.photos:
        why = f" ({next(iter(problems.values()))})" if problems else ""
        raise DataError(
            f"No photo in {root}{why}. Photos are found by their ending: .jpg, .png, .heic, .webp and the like."
        )
    return FolderSource(root, sorted(scan.photos.keys() | problems.keys()), problems)


@dataclass(frozen=True)
class ListSource:
    """A text file of one path a line, relative to the file's folder; read anew for every shard.

    Args:
        name: of the file.
    """

    name: str

    def stamp(self) -> object:
        """Of the file."""
        return file_stamp(self.name)

    def listed(self) -> InputList:
        """The list as the file holds it now."""
        return list_names(self._paths())

    def inputs(self, first: int, last: int) -> Iterator[Input]:
        """Inputs `first` to `last`, without the last one."""
        return (Input(os.fsdecode(path)) for path in itertools.islice(self._paths(), first, last))

    def _paths(self) -> Iterator[bytes]:
        folder = Path(self.name).parent.resolve()
        try:
            with open(self.name, "rb") as file:
                file.seek(len(_BOM) if file.read(len(_BOM)) == _BOM else 0)
                while line := file.readline(_LONGEST):
                    if b"\0" in line or len(line) == _LONGEST:
                        raise DataError(
                            f"{self.name} is no list of paths, one a line. "
                            "Give a folder, a text file, or parquet:FILE for a Parquet file."
                        )
                    if line.strip():
                        yield os.fsencode(folder / os.fsdecode(line.rstrip(b"\r\n")))
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {file_reason(error)}.") from None
