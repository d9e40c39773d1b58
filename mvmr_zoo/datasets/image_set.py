"""`ImageSet`: the protocol of all data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


class ImageSet(Protocol):
    """Images with at most one class each. Cheap to pickle, because each process opens the files itself."""

    @property
    def name(self) -> str:
        """Readable name, the same on every machine."""
        ...

    @property
    def class_names(self) -> list[str]:
        """Class names in the order of the labels; empty if there are none."""
        ...

    @property
    def labels(self) -> NDArray[np.int64]:
        """`(N,)` int64, indices into `class_names`; -1 if an image has no class or may have several."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """All files from which images are read."""
        ...

    def __len__(self) -> int: ...

    def image(self, index: int, *, min_px: int | None = None) -> Image.Image:
        """The upright RGB image `index`.

        Args:
            index: Row number, from 0 to N - 1.
            min_px: Minimum length of the short side if a JPEG is decoded at a reduced size.

        Raises:
            ImageError: The image cannot be read. The message names it.
        """
        ...

    def describe(self, index: int) -> str:
        """The name of one image, the same on every machine."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of the data set: SHA-256 of the content, and the name if any, of every image in order.

        Raises:
            DataError: A file cannot be read.
        """
        ...
