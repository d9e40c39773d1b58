"""Photos by path: all photos below a folder, or the paths in a text file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mvmr_zoo.embed.inputs import InputList, file_stamp, list_names
from mvmr_zoo.errors import DataError
from mvmr_zoo.images import PhotoFile, file_reason, scan_folder

_BOM = b"\xef\xbb\xbf"
_LONGEST = 65_536  # bytes per line; the limit of a path on Linux is 4,096


@dataclass(frozen=True)
class FolderSource:
    """Every photo below a folder, sorted by path, found by the same scan as in the photo library.

    Args:
        name: Display name of the folder.
        paths: Absolute, sorted.
        problems: Why a folder or file could not be read, by path; each is a failed input.
    """

    name: str
    paths: list[bytes]
    problems: dict[bytes, str]

    def stamp(self) -> None:
        """Always None, because the folder is scanned only once."""

    def listed(self) -> InputList:
        """Count and digest of the scanned paths."""
        return list_names(self.paths)

    def inputs(self, first: int, last: int) -> Iterator[PhotoFile]:
        """Inputs `first` (inclusive) to `last` (exclusive)."""
        for path in self.paths[first:last]:
            yield PhotoFile(os.fsdecode(path), problem=self.problems.get(path))


def folder_source(folder: str) -> FolderSource:
    """Scan a folder.

    Raises:
        DataError: The folder cannot be read, or holds no photo.
    """
    root = os.path.realpath(folder)
    scan = scan_folder(os.fsencode(root))
    problems = {row.path: row.reason for row in scan.unreadable}
    if not scan.photos:
        why = f" ({next(iter(problems.values()))})" if problems else ""
        raise DataError(
            f"No photos found in {root}{why}. Photos are recognized by their extension, such as .jpg, .png, .heic or "
            ".webp."
        )
    return FolderSource(root, sorted(scan.photos.keys() | problems.keys()), problems)


@dataclass(frozen=True)
class ListSource:
    """A text file with one path per line, relative to the folder of the file. It is read again for every shard.

    Args:
        name: Path of the text file.
    """

    name: str

    def stamp(self) -> object:
        """Inode, size and mtime of the file."""
        return file_stamp(self.name)

    def listed(self) -> InputList:
        """Count and digest of the current paths in the file."""
        return list_names(self._paths())

    def inputs(self, first: int, last: int) -> Iterator[PhotoFile]:
        """Inputs `first` (inclusive) to `last` (exclusive)."""
        return (PhotoFile(os.fsdecode(path)) for path in itertools.islice(self._paths(), first, last))

    def _paths(self) -> Iterator[bytes]:
        folder = Path(self.name).parent.resolve()
        try:
            with open(self.name, "rb") as file:
                file.seek(len(_BOM) if file.read(len(_BOM)) == _BOM else 0)
                while line := file.readline(_LONGEST):
                    if b"\0" in line or len(line) == _LONGEST:
                        raise DataError(
                            f"{self.name} is not a list of paths, one per line. "
                            "Use a folder, a text file, or parquet:FILE for a Parquet file."
                        )
                    if line.strip():
                        yield os.fsencode(folder / os.fsdecode(line.rstrip(b"\r\n")))
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {file_reason(error)}.") from None
