"""Give an encoder an output for retrieval without training it: `python -m training.whiten`.

The output `aligned` is the leading principal components of the encoder's features, partly whitened. Its statistics come
from photos without labels. The encoder can read smaller images than those that it was trained on.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvmr_zoo._io import explain_errors
from mvmr_zoo.errors import ConfigError, require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvmr_zoo.checkpoint import Checkpoint

CROP_RATIO = 0.875
"""Share of the resized photo's short side that the encoder sees: 224 of 256 px."""


def whiten(
    spec: str,
    photos: list[str],
    output: Path,
    *,
    name: str,
    px: int | None = None,
    dim: int = 512,
    whitening: float = 0.5,
    sample: int = 4096,
    note: str = "",
) -> Checkpoint:
    """Write a checkpoint folder: the weights of a package, and the whitened output `aligned`.

    Args:
        spec: An encoder that can be a base, for example `effnet-lite:1`.
        photos: Sources of photos, as `data.train` takes them.
        output: Folder in which the checkpoint folder `name` is written.
        name: Name of the model.
        px: Image size in pixels. None keeps that of the encoder.
        dim: Number of components.
        whitening: Exponent in [0, 1]; see `whitened_components`.
        sample: Number of photos to which the components are fitted.
        note: Sentences to add to the model card.

    Raises:
        ConfigError: A value is out of range, or there are fewer than `dim` photos.
        MissingDependencyError: The package of the weights is not installed.
        CheckpointError: The folder exists and is not a checkpoint folder.
    """
    import numpy as np
    import torch

    import mvmr_zoo
    from mvmr_zoo.checkpoint import BASE_KIND, SCHEMA_VERSION, CheckpointConfig, alignment_from_projector
    from mvmr_zoo.datasets import JoinedImages, embed_images, open_images
    from mvmr_zoo.models import save_encoder
    from training.config import StudentConfig
    from training.finish import source_names
    from training.student import make_encoder

    require(spec.startswith(BASE_KIND), "The encoder", spec, "effnet-lite:0, 1 or 2")
    student = StudentConfig(architecture=spec, start_from=spec)
    model = mvmr_zoo.load(spec)
    size = px or model.preprocess.crop_px
    preprocess = replace(model.preprocess, crop_px=size, resize_px=round(size / CROP_RATIO))
    opened = [open_images(source) for source in photos]
    data = opened[0] if len(opened) == 1 else JoinedImages(tuple(opened))
    rows = np.sort(np.random.default_rng(0).permutation(len(data))[:sample])
    features = embed_images(model.engine, preprocess, data, rows, dim=model.dim)
    weight = whitened_components(features, dim, whitening)
    config = CheckpointConfig(
        schema_version=SCHEMA_VERSION,
        name=name,
        architecture=spec,
        embedding_dim=model.dim,
        preprocess=preprocess,
        license=model.card.license,
        source=f"{model.card.summary}, at {size} px; aligned is {dim} partly whitened components of the features.",
        data=source_names(photos),
        note=(
            f"The weights are those of {spec}, trained with labels. The components were fitted to {len(rows):,} photos "
            f"without labels, with a whitening exponent of {whitening:g}. {note}"
        ).strip(),
        training={"whiten": {"spec": spec, "px": size, "dim": dim, "whitening": whitening, "sample": len(rows)}},
        default_output="aligned",
    )
    alignment = alignment_from_projector(weight, None, projection=weight.T, features=features)
    encoder = make_encoder(student).eval()
    return save_encoder(encoder, output / name, config, dtype=torch.float16, alignment=alignment, base=spec)


def whitened_components(features: NDArray[np.float32], dim: int, whitening: float) -> NDArray[np.float64]:
    """The leading eigenvectors of the second moment of features, each divided by a power of its root mean square.

    The features are not centered: their mean is about the first eigenvector, whose weight the division reduces, so
    the map is linear (Jégou and Chum, Negative evidences and co-occurences in image retrieval, ECCV 2012, whiten
    centered vectors).

    Args:
        features: `(N, D)`, not normalized.
        dim: Number A of eigenvectors, at most N and D.
        whitening: Exponent in [0, 1]. 0 keeps inner products, 1 gives every component the same mean square.

    Returns:
        `(A, D)` float64.

    Raises:
        ConfigError: A value is out of range.
    """
    import numpy as np

    require(0 <= whitening <= 1, "whitening", whitening, "an exponent in [0, 1]")
    most = min(features.shape)
    require(1 <= dim <= most, "dim", dim, f"1 to {most}, the smaller of the numbers of photos and features")
    rows = features.astype(np.float64)
    values, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
    scales = np.sqrt(np.maximum(values[::-1][:dim], 0))
    if scales[-1] <= 1e-6 * scales[0]:
        raise ConfigError(f"dim is {dim}; the features have fewer components. Use a smaller dim or more photos.")
    components: NDArray[np.float64] = (vectors[:, ::-1][:, :dim] * scales**-whitening).T
    return components


def run(
    spec: Annotated[str, typer.Argument(help="Encoder of a weights package, for example effnet-lite:1.")],
    photos: Annotated[list[str], typer.Argument(help="Folders of photos, or other sources. Labels are not used.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the checkpoint folder.")],
    name: Annotated[str, typer.Option("--name", help="Name of the model.")],
    px: Annotated[int | None, typer.Option(help="Image size in pixels. Default: that of the encoder.")] = None,
    dim: Annotated[int, typer.Option(help="Number of dimensions of the output aligned.")] = 512,
    whitening: Annotated[float, typer.Option(help="Exponent in [0, 1]. 0 keeps inner products.")] = 0.5,
    sample: Annotated[int, typer.Option(help="Number of photos to which the components are fitted.")] = 4096,
    note: Annotated[str, typer.Option(help="Sentences to add to the model card.")] = "",
) -> None:
    """Write a checkpoint folder of an encoder with whitened principal components of its features as output."""
    made = whiten(spec, photos, output, name=name, px=px, dim=dim, whitening=whitening, sample=sample, note=note)
    typer.echo(made.folder)


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None)
app.command()(explain_errors(run))

if __name__ == "__main__":
    app()
