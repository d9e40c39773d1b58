"""`ImageSet`: what every data set is to those who read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


class ImageSet(Protocol):
    """Images with at most one class each; cheap to send to another process, which opens the files itself."""

    @property
    def name(self) -> str:
        """Readable, the same on every machine."""
        ...

    @property
    def class_names(self) -> list[str]:
        """In the order of the labels; empty where there are none."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """`(N,)` int64, indices into `class_names`; -1 where an image has none, or may show several."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """Every file that the images are read from."""
        ...

    def __len__(self) -> int: ...

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The upright RGB image `index`.

        Args:
            index: from 0 to N - 1.
            min_px: what its short side must keep, where a JPEG may be decoded at a smaller scale.

        Raises:
            ImageError: it cannot be read; names it.
        """
        ...

    def describe(self, index: int) -> str:
        """The name of one image, the same on every machine."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every image's content in order, and its name where it has one: the identity of the data set.

        Raises:
            DataError: a file cannot be read.
        """
        ...
