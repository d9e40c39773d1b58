"""The checkpoint folder: the format in which models are stored on disk, in the wheel and on the Hub.

NAME/
config.json            metadata, preprocessing, and the SHA-256 of every file except README.md
model.safetensors      encoder weights, fp32 or fp16
delta.safetensors      replaces model.safetensors: the difference from base weights in a package
graph.onnx             the graph of the encoder, which refers to its weights by name
golden.safetensors     expected outputs for fixed generated images
head.safetensors       optional linear classifier on the features, whose class names are in config.json
alignment.safetensors  optional linear map from features to the output `aligned`
projector.safetensors  optional projector, to continue training
README.md              the model card

card          `ModelCard`, figures and outputs
card_text     the text of README.md
config        the fields of config.json
files         names and tensors of the files
hashes        SHA-256 of the files, and the check against config.json
base_weights  base weights in a package, and the difference from them
golden        the fixed images
alignment     computes alignment.safetensors from a projector
read          reads a folder as a `Checkpoint` and checks it
write         writes a folder atomically
"""

from __future__ import annotations

from mvmr_zoo.checkpoint.alignment import ALIGNED_MATRIX, Alignment, alignment_from_projector
from mvmr_zoo.checkpoint.base_weights import KIND as BASE_KIND
from mvmr_zoo.checkpoint.base_weights import Base, difference, read_base
from mvmr_zoo.checkpoint.card import (
    LICENSE_NOT_STATED,
    OUTPUTS,
    Figure,
    Location,
    ModelCard,
    Output,
    Pin,
    Task,
    asked_dim,
    current_name,
    data_and_protocol,
    is_licensed,
    output_in_words,
)
from mvmr_zoo.checkpoint.card_text import readme_text
from mvmr_zoo.checkpoint.config import SCHEMA_VERSION, CheckpointConfig, Scores, read_config, write_config
from mvmr_zoo.checkpoint.files import (
    ALIGNMENT_FILE,
    CONFIG_FILE,
    GOLDEN_FILE,
    GRAPH_FILE,
    HASHED,
    HEAD_FILE,
    PROJECTOR_FILE,
    README_FILE,
    WEIGHTS_FILE,
    count_parameters,
    read_tensors,
)
from mvmr_zoo.checkpoint.golden import GOLDEN_COSINE, golden_images, lowest_cosine
from mvmr_zoo.checkpoint.hashes import (
    check_digest,
    check_hashes,
    expected_hashes,
    file_digest,
    read_hashes,
    vectors_digest,
)
from mvmr_zoo.checkpoint.read import (
    Checkpoint,
    Head,
    checkpoint_of,
    read_checkpoint,
)
from mvmr_zoo.checkpoint.write import add_metrics, check_destination, move_into_place, write_checkpoint, write_facts

__all__ = [
    "ALIGNED_MATRIX",
    "ALIGNMENT_FILE",
    "BASE_KIND",
    "CONFIG_FILE",
    "GOLDEN_COSINE",
    "GOLDEN_FILE",
    "GRAPH_FILE",
    "HASHED",
    "HEAD_FILE",
    "LICENSE_NOT_STATED",
    "OUTPUTS",
    "PROJECTOR_FILE",
    "README_FILE",
    "SCHEMA_VERSION",
    "WEIGHTS_FILE",
    "Alignment",
    "Base",
    "Checkpoint",
    "CheckpointConfig",
    "Figure",
    "Head",
    "Location",
    "ModelCard",
    "Output",
    "Pin",
    "Scores",
    "Task",
    "add_metrics",
    "alignment_from_projector",
    "asked_dim",
    "check_destination",
    "check_digest",
    "check_hashes",
    "checkpoint_of",
    "count_parameters",
    "current_name",
    "data_and_protocol",
    "difference",
    "expected_hashes",
    "file_digest",
    "golden_images",
    "is_licensed",
    "lowest_cosine",
    "move_into_place",
    "output_in_words",
    "read_base",
    "read_checkpoint",
    "read_config",
    "read_hashes",
    "read_tensors",
    "readme_text",
    "vectors_digest",
    "write_checkpoint",
    "write_config",
    "write_facts",
]
