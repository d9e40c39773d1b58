"""Features of a data set's images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mvmr_zoo.inference import DecodedImage, embed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvmr_zoo.datasets.image_set import ImageSet
    from mvmr_zoo.images import Preprocess
    from mvmr_zoo.inference import Engine


def embed_images(
    engine: Engine, preprocess: Preprocess, data: ImageSet, rows: Iterable[int], *, dim: int
) -> NDArray[np.float32]:
    """Features of some images of a set, not normalized: `(rows, D)` float32, in the order of `rows`.

    Args:
        engine: Runs the encoder.
        preprocess: The encoder's own.
        data: The images.
        rows: Row numbers of the images.
        dim: D.

    Raises:
        ImageError: An image cannot be read.
    """
    embeddings = embed(
        engine,
        preprocess,
        (int(row) for row in rows),
        dim=dim,
        skip=False,
        normalize=False,
        decode=lambda row, min_px: DecodedImage(data.image(row, min_px=min_px)),
    )
    return embeddings.vectors
