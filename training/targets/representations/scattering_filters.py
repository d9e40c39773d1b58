"""Morlet wavelets and the Gaussian low-pass of the scattering transform, as kymatio defines them."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIGMA = 0.8
"""Width of the finest wavelet's envelope, in pixels."""
XI = 3 * math.pi / 4
"""Frequency of the finest wavelet, in radians per pixel."""
_PI = 3.1415  # kymatio's value in the norm of the Gaussians, kept so that results agree
_PERIODS = range(-2, 3)


class Filters(NamedTuple):
    """The filters for one image size.

    Args:
        padding: Width of the reflected border at the left, right, top and bottom.
        psi: `psi[r][j]` holds the spectra of the wavelets of scale j on maps sampled every 2^r pixels. They are cut
            into k x k blocks: `(k k, L, P Q / k k, 2)` with k = 2^(j - r). Each real value is divided by P Q and
            stored twice.
        phi: `phi[j]` holds two matrices that smooth a map of scale j, sample it every 2^(J - j) and remove the
            padding: `(P, h)` for its columns and `(Q, w)` for its rows.
    """

    padding: tuple[int, int, int, int]
    psi: list[dict[int, Tensor]]
    phi: list[tuple[Tensor, Tensor]]


@functools.lru_cache(maxsize=8)
def filters(height: int, width: int, scales: int, orientations: int, device: torch.device) -> Filters:
    """The filters for images of `height` x `width`."""
    rows, columns = _padded(height, scales), _padded(width, scales)
    spectra = [
        np.stack([_morlet(rows, columns, scale, direction, orientations) for direction in range(orientations)])
        for scale in range(scales)
    ]
    psi = [
        {
            scale: _blocks(_coarser(spectra[scale], level), 2 ** (scale - level)).to(device)
            for scale in range(level if level == 0 else level + 1, scales)
        }
        for level in range(max(1, scales - 1))
    ]
    down, across = (_gaussian(size, SIGMA * 2 ** (scales - 1)) for size in (rows, columns))
    phi = [
        (
            _smoothing(down, scale, scales, height // 2**scales).T.contiguous().to(device),
            _smoothing(across, scale, scales, width // 2**scales).T.contiguous().to(device),
        )
        for scale in range(scales)
    ]
    x, y = columns - width, rows - height
    return Filters((x // 2, (x + 1) // 2, y // 2, (y + 1) // 2), psi, phi)


def _padded(size: int, scales: int) -> int:
    """The side with its padding: divisible by 2^J, with a border of at least 2^J / 2 pixels on both sides."""
    step: int = 2**scales
    return ((size + step) // step + 1) * step


def _morlet(rows: int, columns: int, scale: int, direction: int, orientations: int) -> NDArray[np.float64]:
    """Spectrum `(rows, columns)` of a periodic Morlet wavelet. It is real, because the wavelet is Hermitian."""
    angle = (int(orientations - orientations / 2 - 1) - direction) * math.pi / orientations
    sigma, slant = SIGMA * 2**scale, 4.0 / orientations
    wave = _gabor(rows, columns, sigma, angle, XI / 2**scale, slant)
    envelope = _gabor(rows, columns, sigma, angle, 0.0, slant)
    wavelet = wave - wave.sum() / envelope.sum() * envelope  # zero mean
    spectrum: NDArray[np.float64] = np.fft.fft2(wavelet).real
    return spectrum


def _gabor(rows: int, columns: int, sigma: float, angle: float, xi: float, slant: float) -> NDArray[np.complex128]:
    """A Gaussian times a plane wave of frequency `xi` along `angle`, made periodic."""
    c, s = math.cos(angle), math.sin(angle)
    total = np.zeros((rows, columns), np.complex128)
    for period_down in _PERIODS:
        for period_across in _PERIODS:
            x = np.arange(rows)[:, None] + period_down * rows
            y = np.arange(columns)[None, :] + period_across * columns
            along, sideways = x * c + y * s, -x * s + y * c
            total += np.exp(-(along**2 + (slant * sideways) ** 2) / (2 * sigma**2) + 1j * xi * along)
    return total * slant / (2 * _PI * sigma**2)


def _gaussian(size: int, sigma: float) -> NDArray[np.float64]:
    """Spectrum `(size,)` of one factor of the periodic low-pass."""
    places = np.arange(size)[:, None] + size * np.asarray(_PERIODS)
    spectrum: NDArray[np.float64] = np.fft.fft(np.exp(-(places**2) / (2 * sigma**2)).sum(axis=1)).real
    return spectrum / math.sqrt(2 * _PI * sigma**2)


def _coarser(spectra: NDArray[np.float64], level: int) -> NDArray[np.float64]:
    """Spectra `(L, P, Q)` for maps sampled every 2^level pixels: the low frequencies."""
    for axis in (1, 2):
        spectra = _low(spectra, axis, level)
    return spectra


def _low(values: NDArray[np.float64], axis: int, level: int) -> NDArray[np.float64]:
    """Drop the frequencies that a map sampled every 2^level pixels cannot represent."""
    size = values.shape[axis]
    start, length = int(size * 2.0 ** (-level - 1)), int(size * (1 - 2.0**-level))
    kept = np.moveaxis(values.copy(), axis, 0)
    kept[start : start + length] = 0
    folded = kept.reshape(2**level, size // 2**level, *kept.shape[1:]).sum(axis=0)
    return np.moveaxis(folded, 0, axis)


def _blocks(spectra: NDArray[np.float64], k: int) -> Tensor:
    """`(L, P, Q)` cut into k x k blocks, for folding: `(k k, L, P Q / k k, 2)` float32."""
    orientations, rows, columns = spectra.shape
    blocks = spectra.reshape(orientations, k, rows // k, k, columns // k).transpose(1, 3, 0, 2, 4) / (rows * columns)
    flat = blocks.reshape(k * k, orientations, -1, 1)
    return torch.from_numpy(np.repeat(flat, 2, axis=-1)).float().contiguous()


def _smoothing(spectrum: NDArray[np.float64], scale: int, scales: int, kept: int) -> Tensor:
    """The matrix `(kept, P / 2^scale)` that smooths, samples and crops a map of scale `scale` along one axis."""
    impulse = np.fft.ifft(_low(spectrum, 0, scale)).real
    size, step = len(impulse), 2 ** (scales - scale)
    sampled = np.arange(0, size, step)[1 : 1 + kept]
    return torch.from_numpy(impulse[(sampled[:, None] - np.arange(size)[None, :]) % size]).float()
