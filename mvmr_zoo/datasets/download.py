"""Download data sets from their authors, and check the MD5 of each archive.

CIFAR is downloaded as binary archives, because the Python archives hold pickles, which this package does not open.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from tarfile import TarError
from urllib.error import HTTPError

from filelock import FileLock

from mvmr_zoo._io import scratch_folder
from mvmr_zoo.errors import DataError, MissingDependencyError, one_line


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Args:
        url: Address of the file.
        md5: MD5 of the file, as published by torchvision or its authors.
    """

    url: str
    md5: str

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Source:
    """Origin of a data set.

    Args:
        folder: Folder that the archives contain.
        archives: All of them together are the data set.
    """

    folder: str
    archives: tuple[Archive, ...]


_CIFAR100 = Source(
    "cifar-100-binary",
    (
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
        ),
    ),
)

SOURCES: dict[str, Source] = {
    "stl10": Source(
        "stl10_binary",
        (
            Archive(
                "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                "91f7769df0f17e558f3565bffb0c7dfb",
            ),
        ),
    ),
    "cifar10": Source(
        "cifar-10-batches-bin",
        (
            Archive(
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                "c32a1d4ab5d03f1284b67883e8d87530",
            ),
        ),
    ),
    "cifar20": _CIFAR100,
    "cifar100": _CIFAR100,
    "imagenette": Source(
        "imagenette2",
        (
            Archive(
                "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
                "fe2fc210e6bb7c5664d602c3cd71e612",
            ),
        ),
    ),
    "voc07": Source(
        "VOCdevkit/VOC2007",
        (
            Archive(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtrainval_06-Nov-2007.tar",
                "c52e279531787c972589f7e41ab4ae64",
            ),
            Archive(
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/VOCtest_06-Nov-2007.tar",
                "b6e924de25625d8de591ea690078ad9f",
            ),
        ),
    ),
}
"""Origins by name of the data set."""


def fetch(name: str, root: Path) -> None:
    """Download a data set's archives into `root` and unpack them there atomically.

    Archives already in `root` are used if their MD5 is correct. Archives are deleted after unpacking.

    Raises:
        DataError: The data set cannot be downloaded, the network or the disk fails, or other bytes came than expected.
        MissingDependencyError: torchvision is not installed.
    """
    if name not in SOURCES:
        raise DataError(
            f"{name} cannot be downloaded automatically. Download it from image-net.org and put the folders train "
            f"and val in {root}."
        )
    try:
        from torchvision.datasets.utils import extract_archive
    except ImportError as error:
        raise MissingDependencyError("torchvision", "cpu", "download a data set") from error
    source = SOURCES[name]
    target = root / source.folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{target.name}.lock"):
            if target.exists():  # by another process, while this one waited
                return
            files = [_downloaded(archive, root) for archive in source.archives]
            with scratch_folder(root) as scratch:
                for file in files:
                    extract_archive(file, scratch)
                target.parent.mkdir(parents=True, exist_ok=True)
                (scratch / source.folder).rename(target)
            for file in files:
                file.unlink()
    except (OSError, TarError) as error:
        raise DataError(
            f"{name} could not be unpacked to {target}: {one_line(error)}. Check that {root} is writable and has "
            "enough free space, then run the command again. Completed downloads are kept."
        ) from None


def _downloaded(archive: Archive, root: Path) -> Path:
    """Download an archive and return its path. An incomplete file is deleted."""
    from torchvision.datasets.utils import download_url

    file = root / archive.file_name
    try:
        download_url(archive.url, root, archive.file_name, archive.md5)
    except (OSError, HTTPException, RuntimeError) as error:
        file.unlink(missing_ok=True)
        if isinstance(error, HTTPError):
            error.close()
        # torchvision raises this type itself for a wrong MD5, and for nothing else
        wrong = type(error) is RuntimeError
        reason = f"the MD5 of the downloaded file is not {archive.md5}" if wrong else one_line(error)
        raise DataError(
            f"{archive.url} could not be downloaded to {root}: {reason}. Check the network and the free disk space, "
            "and run the command again. Or copy the file there yourself."
        ) from None
    return file
