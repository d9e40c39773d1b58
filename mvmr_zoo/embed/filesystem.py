"""Folders on any file system: a path of this machine, or a URI that pyarrow or fsspec understands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mvmr_zoo._io import check_regular
from mvmr_zoo.errors import DataError, one_line

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem


@dataclass(frozen=True)
class Place:
    """A folder and the file system it is on.

    Args:
        name: Absolute path, or the URI without credentials, query and final slash; prefix of the names of its files.
        filesystem: Pyarrow file system.
        path: The folder, in the syntax of the file system.
        is_local: Whether the folder is on this machine.
    """

    name: str
    filesystem: FileSystem
    path: str
    is_local: bool

    @classmethod
    def local(cls, path: str) -> Place:
        """The `Place` for an absolute path on this machine."""
        from pyarrow.fs import LocalFileSystem

        return cls(path, LocalFileSystem(), path, is_local=True)

    def below(self, name: str) -> str:
        """The path of a file in the folder, in the syntax of the file system."""
        return f"{self.path.rstrip('/')}/{name}"

    def named(self, path: str) -> str:
        """Display name of a file in the folder, from its path on the file system."""
        head, chain, tail = (self.name, "", "") if self.is_local else self.name.partition("::")
        return head + path[len(self.path) :] + chain + tail  # zip://photos/a.jpg::s3://bucket/photos.zip

    def open_file(self, path: str) -> NativeFile:
        """Open a file, in the syntax of the file system. A pipe or device of this machine raises OSError."""
        return self.filesystem.open_input_file(check_regular(path) if self.is_local else path)

    def listed(self) -> list[str]:
        """Sorted names of the files and folders in the folder; empty if it does not exist. Raises DataError."""
        from pyarrow.fs import FileSelector

        with explained(self.name):
            if self.is_local:  # names may be invalid UTF-8
                return sorted(entry.name for entry in Path(self.path).iterdir()) if os.path.exists(self.path) else []
            entries = self.filesystem.get_file_info(FileSelector(self.path, allow_not_found=True))
            return sorted(entry.base_name for entry in entries)


def is_uri(named: str) -> bool:
    """Whether the name is a URI, such as `s3://bucket/photos`."""
    return "://" in named


def open_place(named: str) -> Place:
    """The folder of a path or a URI; it need not exist.

    Raises:
        DataError: Neither pyarrow nor fsspec supports the URI, a library for it is missing, or the path is not UTF-8.
    """
    from pyarrow.fs import LocalFileSystem

    if not is_uri(named):
        path = os.path.realpath(os.path.expanduser(named))
        if not is_text(path):
            raise DataError(f"{path} is not valid UTF-8. Arrow can open only UTF-8 names. Use another folder.")
        return Place.local(path)
    filesystem, path = _resolved(named)
    if isinstance(filesystem, LocalFileSystem):
        return open_place(path)
    return Place(_bare(named), filesystem, path.rstrip("/") or path, is_local=False)


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Convert errors of a file system to DataError."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ImportError, ValueError) as error:
        raise DataError(f"{name} cannot be used: {one_line(error)}") from None


def _bare(uri: str) -> str:
    """A URI without credentials, query and final slash."""
    links = []
    for link in uri.split("::"):
        parts = urlsplit(link)
        links.append(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}")
    return "::".join(links)


def _resolved(uri: str) -> tuple[FileSystem, str]:
    """File system and path of a URI, from pyarrow if it supports the scheme, else from fsspec."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    with explained(_bare(uri)):
        try:
            filesystem, path = FileSystem.from_uri(uri)
            return filesystem, path
        except pa.ArrowInvalid:  # pyarrow does not support the scheme
            import fsspec  # type: ignore[import-untyped]

            filesystem, path = fsspec.core.url_to_fs(uri)
            return PyFileSystem(FSSpecHandler(filesystem)), path


def is_text(path: str) -> bool:
    """Whether a path from `os.fsdecode` is valid UTF-8. Arrow cannot open other paths."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
