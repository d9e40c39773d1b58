"""Wavelet scattering of images (Bruna, Mallat, *Invariant scattering convolution networks*, 2013).

    S0 = x * phi,  S1 = |x * psi_1| * phi,  S2 = ||x * psi_1| * psi_2| * phi

with Morlet wavelets psi of several scales and directions, and a Gaussian low-pass phi, sampled every
`2^scales` pixels. The filters, the borders and the order of paths are those of kymatio's `Scattering2D`,
and so are the values.

Three things make it fast. A wavelet's output is needed at a lower resolution only, so its spectrum is
folded before the inverse transform. The Gaussian is separable, so smoothing and sampling are two small
matrix products that compute only the samples that are kept. Images are processed in chunks that fit the
processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvmr_zoo.errors import require
from training.targets.representations.scattering_filters import Filters, filters

_CHUNK_VALUES = 1 << 15
"""Pixels of a chunk on a CPU, over all channels. Their spectra and filters fit a cache of a few MB."""
_CHUNK_VALUES_GPU = 1 << 22
"""The same on a GPU, where a chunk must occupy every multiprocessor. Its spectra take about 1 GB."""


class Scattering(nn.Module):
    """Scattering coefficients of each channel.

    Args:
        scales: Number J of octaves of wavelets. There is one coefficient every `2^J` pixels.
        orientations: Number L of directions over half a turn.
        max_order: Highest order, 1 or 2.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> import torch
        >>> from training import Scattering
        >>> Scattering()(torch.rand(2, 3, 32, 32)).shape  # 3 channels, 81 paths, 8 x 8 places
        torch.Size([2, 15552])
    """

    def __init__(self, scales: int = 2, orientations: int = 8, max_order: int = 2) -> None:
        super().__init__()
        require(scales >= 1, "scattering.scales", scales, "at least 1")
        require(orientations >= 1, "scattering.orientations", orientations, "at least 1")
        require(max_order in (1, 2), "scattering.max_order", max_order, "1 or 2")
        self.scales = scales
        self.orientations = orientations
        self.max_order = max_order

    def forward(self, images: Tensor) -> Tensor:
        """Map images `(N, C, H, W)` to `(N, C * paths * h * w)` float32; see `maps`."""
        return self.maps(images).flatten(1)

    @torch.no_grad()
    def maps(self, images: Tensor) -> Tensor:
        """Coefficients `(N, C, paths, H // 2^J, W // 2^J)` float32 of images `(N, C, H, W)`.

        There are `1 + L J + L^2 J (J - 1) / 2` paths: order 0, then order 1 by scale and direction,
        then order 2 by the first wavelet and then the second.

        Raises:
            ConfigError: A side is shorter than `2^J`.
        """
        n, channels, height, width = images.shape
        require(min(height, width) >= 2**self.scales, "image side", min(height, width), f"at least {2**self.scales}")
        bank = filters(height, width, self.scales, self.orientations, images.device)
        left, right, top, bottom = bank.padding
        flat = F.pad(images.float().view(n * channels, 1, height, width), (left, right, top, bottom), mode="reflect")
        values = _CHUNK_VALUES if images.device.type == "cpu" else _CHUNK_VALUES_GPU
        size = max(1, values // flat[0].numel())
        done = [torch.cat(list(self._paths(chunk[:, 0], bank)), dim=1) for chunk in torch.split(flat, size)]
        maps = torch.cat(done)
        return maps.view(n, channels, *maps.shape[1:])

    def _paths(self, images: Tensor, bank: Filters) -> Iterator[Tensor]:
        """The paths of padded images `(B, P, Q)`, each part `(B, some paths, h, w)`, in order."""
        yield _smooth(images[:, None], bank, 0)
        spectrum = torch.fft.fft2(images)[:, None]
        second: list[Tensor] = []
        for scale in range(self.scales):
            first = _modulus(spectrum, bank.psi[0][scale])[:, 0]
            yield _smooth(first, bank, scale)
            if self.max_order == 2 and scale < self.scales - 1:
                spectra = torch.fft.fft2(first)
                deeper = [
                    _smooth(_modulus(spectra, bank.psi[scale][next_scale]), bank, next_scale)
                    for next_scale in range(scale + 1, self.scales)
                ]
                second.append(torch.stack(deeper, dim=2).flatten(1, 3))
        yield from second


def _modulus(spectra: Tensor, psi: Tensor) -> Tensor:
    """|x * psi| sampled every k pixels: `(B, F, L, P / k, Q / k)` float32.

    Args:
        spectra: Spectra of x, `(B, F, P, Q)` complex.
        psi: Spectra of L wavelets in blocks, `(k k, L, P Q / k k, 2)`, each real value twice.
    """
    b, f, rows, columns = spectra.shape
    k = math.isqrt(len(psi))
    p, q = rows // k, columns // k
    blocks = torch.view_as_real(spectra).view(b, f, 1, k, p, k, q, 2)
    folded: Tensor | None = None
    for number, wavelets in enumerate(psi):
        block = blocks[:, :, :, number // k, :, number % k].reshape(b, f, 1, p * q, 2)
        folded = block * wavelets if folded is None else folded.addcmul_(block, wavelets)
    assert folded is not None
    waves = torch.view_as_complex(folded).view(b, f, -1, p, q)
    squares = torch.view_as_real(torch.fft.ifft2(waves, norm="forward")).square_()  # psi has the factor 1 / (P Q)
    return (squares[..., 0] + squares[..., 1]).sqrt_()  # abs() avoids overflow, and takes three times as long


def _smooth(maps: Tensor, bank: Filters, scale: int) -> Tensor:
    """Low-pass and sample maps of one resolution, `(..., P, Q)`, to `(..., h, w)`."""
    down, across = bank.phi[scale]
    narrow = maps.flatten(0, -2) @ across
    upright = narrow.view(-1, maps.shape[-2], across.shape[1]).transpose(1, 2).flatten(0, 1) @ down
    return upright.view(*maps.shape[:-2], across.shape[1], down.shape[1]).transpose(-1, -2)
