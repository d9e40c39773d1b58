"""Two engines with one call: from a batch of images to features or aligned vectors."""

from __future__ import annotations

import copy
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mvmr_zoo.checkpoint import ALIGNED_MATRIX, CONFIG_FILE, GRAPH_FILE
from mvmr_zoo.errors import CheckpointError, ConfigError, MissingDependencyError, MvmrError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from mvmr_zoo.checkpoint import Checkpoint, Output
    from mvmr_zoo.images import Reads


class Engine(Protocol):
    """Runs an encoder on batches."""

    name: str
    """`onnx` or `torch`."""

    device: str
    """`cpu` or `cuda`."""

    reads: Reads
    """Input format of the engine; see `Preprocess.prepare`."""

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Vectors `(N, D)` float32 of N images in the format `reads`: an array, or for `photo` a list of N arrays."""
        ...


class OnnxEngine:
    """ONNX Runtime on a graph without weights, with the tensors of the checkpoint as initializers.

    Args:
        graph: The serialized graph of `graph.weightless_graph`. It may have `aligned` as a second output.
        weights: Every external initializer of the graph, by name; fp16 ones are cast to fp32.
        device: `cpu` or `cuda` (onnxruntime-gpu).
        threads: ONNX Runtime's intra-op threads; 0 uses one per core.
    """

    name = "onnx"
    reads: Reads = "normalized"
    shapes: dict[str, tuple[int | str, ...]]
    """The shape of each output in the graph, with open dimensions by name."""

    def __init__(
        self, graph: bytes, weights: Mapping[str, NDArray[np.generic]], *, device: str = "cpu", threads: int = 0
    ) -> None:
        self.device = device
        values = {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in weights.items()}
        self._session = onnx_session(graph, device=device, threads=threads, weights=values)
        self.shapes = {node.name: tuple(node.shape) for node in self._session.get_outputs()}
        inputs, outputs = [node.name for node in self._session.get_inputs()], list(self.shapes)
        if inputs != ["images"] or outputs not in (["features"], ["features", "aligned"]):
            raise ValueError(
                f"the graph has the inputs and outputs {inputs + outputs}; "
                "expected images, features and optionally aligned"
            )
        self._output: Output = "features"
        self._dim: int | None = None
        self._options = requested_outputs_only() if "aligned" in self.shapes else None

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors `(N, D)` float32 of normalized images `(N, 3, H, W)` float32."""
        (vectors,) = run_session(self._session, [self._output], {"images": images}, self._options)
        return np.asarray(vectors[:, : self._dim], dtype=np.float32)

    def aligned(self, dim: int) -> OnnxEngine:
        """The same session with the first `dim` dimensions of the output `aligned` as vectors."""
        engine = copy.copy(self)
        engine._output, engine._dim = "aligned", dim
        return engine


class TorchEngine:
    """PyTorch in inference mode.

    Args:
        encoder: Maps `(N, 3, H, W)` to `(N, D)`.
        device: `cpu` or `cuda`.
    """

    name = "torch"
    reads: Reads = "normalized"

    def __init__(self, encoder: nn.Module, *, device: str = "cpu") -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError("PyTorch", "cpu", "run an encoder in PyTorch") from error
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("PyTorch found no CUDA device. Use device='cpu'.")
        self.device = device
        self._torch = torch
        self._encoder = encoder.eval().to(device).to(memory_format=torch.channels_last)
        self._matrix: torch.Tensor | None = None

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors `(N, D)` float32 of normalized images `(N, 3, H, W)` float32."""
        torch = self._torch
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(self.device, memory_format=torch.channels_last)
            vectors = self._encoder(batch).float()
            if self._matrix is not None:
                vectors = vectors @ self._matrix.T
            return np.asarray(vectors.cpu().numpy(), dtype=np.float32)

    def aligned(self, matrix: NDArray[np.float32]) -> TorchEngine:
        """The same encoder with the product of its features and a matrix `(A, D)` as vectors."""
        engine = copy.copy(self)
        engine._matrix = self._torch.from_numpy(matrix).to(self.device)
        return engine


class ProjectedEngine:
    """Another engine's vectors, multiplied by a matrix.

    Args:
        engine: The engine whose vectors `(N, D)` are projected.
        matrix: `(A, D)` float32. The result is `vectors @ matrix.T`, `(N, A)`.
    """

    def __init__(self, engine: Engine, matrix: NDArray[np.float32]) -> None:
        self.name, self.device, self.reads = engine.name, engine.device, engine.reads
        self._engine = engine
        self._matrix = matrix

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Projected vectors `(N, A)` float32 of N images."""
        return np.asarray(self._engine(images) @ self._matrix.T, dtype=np.float32)


class LeadingDimensions:
    """The first dimensions of another engine's vectors.

    Args:
        engine: The engine.
        dim: Number of dimensions to keep.
    """

    def __init__(self, engine: Engine, dim: int) -> None:
        self.name, self.device, self.reads = engine.name, engine.device, engine.reads
        self._engine = engine
        self._dim = dim

    def __call__(self, images: Any) -> NDArray[np.float32]:
        """Vectors `(N, dim)` float32 of N images."""
        return np.ascontiguousarray(self._engine(images)[:, : self._dim])


def onnxruntime_library() -> Any:
    """Import the onnxruntime module, without its telemetry. Raises MissingDependencyError if it is not installed.

    Importing a recent version stores an identifier of the machine in the home folder and sends it to Microsoft, unless
    one of these variables is set before. A variable that the user has set is kept.
    """
    for name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):  # renamed in later versions
        os.environ.setdefault(name, "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("onnxruntime", "runtime", "run an encoder") from error
    return onnxruntime


def onnx_session(
    graph: bytes | Path,
    *,
    device: str = "cpu",
    threads: int = 0,
    weights: Mapping[str, NDArray[np.generic]] | None = None,
) -> Any:
    """An `onnxruntime.InferenceSession`.

    Args:
        graph: A serialized graph, or an ONNX file.
        device: `cpu` or `cuda` (onnxruntime-gpu).
        threads: ONNX Runtime's intra-op threads; 0 uses one per core.
        weights: The graph's external initializers by name.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        ConfigError: The device is `cuda`, but this build has no CUDA provider.
    """
    ort = onnxruntime_library()
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised too
    options.intra_op_num_threads = threads
    # without spinning, the cores are free for decoding between calls
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if weights:
        options.add_external_initializers(
            list(weights), [ort.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
        )
    providers = ["CPUExecutionProvider"]
    if device == "cuda":
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise ConfigError(
                "This build of ONNX Runtime has no CUDA provider. Run `pip install 'mvmr-zoo[gpu]'` "
                "in a new environment, or use device='cpu'."
            )
        providers.insert(0, "CUDAExecutionProvider")
    return ort.InferenceSession(graph, options, providers=providers)


@contextmanager
def onnx_errors(what: str, where: Callable[[], str] = str) -> Iterator[None]:
    """Turn an error of ONNX Runtime into a CheckpointError of one line.

    Args:
        what: What cannot be done, the first part of the message.
        where: Returns text that precedes the error in the message. It is called only if there is one.

    Raises:
        CheckpointError: The block raised an error that is not an MvmrError.
    """
    try:
        yield
    except MvmrError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common base class
        raise CheckpointError(f"{what}: {one_line(where() + str(error))}") from None


def run_session(session: Any, outputs: list[str], inputs: dict[str, Any], options: Any = None) -> list[Any]:
    """Run an `onnxruntime.InferenceSession`.

    Args:
        session: The session.
        outputs: Names of the outputs to compute.
        inputs: Arrays by the names of the inputs.
        options: `onnxruntime.RunOptions`, or None.

    Raises:
        CheckpointError: ONNX Runtime cannot run the graph, for example because an index in it is out of range.
    """
    with onnx_errors("ONNX Runtime cannot run the graph"):
        return list(session.run(outputs, inputs, options))


def traced_engine(module: nn.Module, *, size_px: int, device: str = "cpu", threads: int = 0) -> OnnxEngine:
    """Run a PyTorch module with ONNX Runtime, for square images of one size.

    Args:
        module: Maps `(N, 3, H, W)` to `(N, D)`. It must be in evaluation mode, on the CPU.
        size_px: Side of the images in pixels.
        device: `cpu` or `cuda` (onnxruntime-gpu).
        threads: See `OnnxEngine`.
    """
    from mvmr_zoo.inference.graph import external_names, weightless_graph

    graph = weightless_graph(module, size_px=size_px, dynamic_size=False)
    tensors = module.state_dict()
    weights = {name: tensors[name].numpy() for name in external_names(graph)}  # some are folded into constants
    return OnnxEngine(graph, weights, device=device, threads=threads)


def requested_outputs_only() -> Any:
    """Run options of ONNX Runtime that skip nodes which the requested outputs do not need."""
    options = onnxruntime_library().RunOptions()
    options.only_execute_path_to_fetches = True
    return options


def onnx_engine(checkpoint: Checkpoint, device: str = "cpu", threads: int = 0) -> OnnxEngine:
    """Run a checkpoint's features with ONNX Runtime. Raises CheckpointError if its graph and weights do not fit."""
    weights, graph, alignment = checkpoint.weights(), checkpoint.graph(), checkpoint.alignment
    if alignment is not None:
        weights[ALIGNED_MATRIX] = alignment.matrix

    def misfit() -> str:
        return next((f"{name} {w.shape}: " for name, w in weights.items() if _misfits(graph, name, w)), "")

    with onnx_errors(f"{checkpoint.weights_path} does not fit {GRAPH_FILE}", misfit):
        engine = OnnxEngine(graph, weights, device=device, threads=threads)
    config_words = {"features": "embedding_dim is", "aligned": "outputs says"}
    for output, dim in checkpoint.config.outputs.items():
        shape = engine.shapes.get(output, ())
        if len(shape) != 2 or shape[1] != dim:
            raise CheckpointError(
                f"{checkpoint.folder / GRAPH_FILE}: {output} has shape {shape}, but {config_words[output]} {dim}."
            )
    return engine


def _misfits(graph: bytes, name: str, tensor: NDArray[np.generic]) -> bool:
    """Whether the graph has no initializer of this name and shape, which ONNX Runtime's error does not name."""
    try:
        OnnxEngine(graph, {name: tensor})
    except Exception as error:  # always raised, because other tensors are missing; the message differs
        return "ReplaceInitializedTensor" in str(error)
    return False


def torch_encoder(checkpoint: Checkpoint) -> nn.Module:
    """The encoder as a module, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: The architecture is unknown, or a tensor is missing or has another shape.
        MissingDependencyError: PyTorch is not installed.
    """
    try:
        import torch

        from mvmr_zoo.architectures import Encoder
    except ImportError as error:
        raise MissingDependencyError("PyTorch with torchvision", "cpu", "use the encoder as a module") from error
    try:
        encoder = Encoder(checkpoint.config.architecture)
    except ConfigError as error:
        raise CheckpointError(f"{checkpoint.folder / CONFIG_FILE}: architecture: {error}") from None
    try:
        encoder.load_weights({name: torch.from_numpy(w) for name, w in checkpoint.weights().items()})
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.weights_path}: {error}.") from None
    return encoder.eval()
