"""From the weights of a run to a checkpoint folder."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from benchmarks.gpu_training.options import Options
from benchmarks.gpu_training.run import OPTIONS, RESULT
from mvmr_zoo.architectures import Encoder
from mvmr_zoo.checkpoint import Checkpoint
from training.finish import finish
from training.student import projector
from training.targets import TeacherSpace


def convert(folder: Path, output: Path) -> Checkpoint:
    """Write `output/NAME`. A student that started from the weights of a package becomes `delta.safetensors`.

    Args:
        folder: Folder with `options.json` and `result.safetensors` of a run.
        output: Folder in which the checkpoint folder is written.
    """
    facts = json.loads((folder / OPTIONS).read_text())
    options = Options.read(facts["options"])
    note = (
        f"Trained on one GPU ({facts['device']}) with benchmarks/distill_on_gpu.py: {facts['views']:,} views of "
        f"{facts['photos']:,} photos."
    )
    config = options.config(
        str(output), photos=facts["photos"], sources=facts["sources"], target_dim=facts["target_dim"], note=note
    )
    stored = load_file(folder / RESULT)
    encoder = Encoder(options.student)
    encoder.load_state_dict(_below("encoder.", stored))
    head = projector(encoder.embedding_dim, config.student.projector)
    head.load_state_dict(_below("projector.", stored))
    space = TeacherSpace(stored["space.mean"], stored.get("space.projection"))
    return finish(encoder, config, {}, projector=head, space=space, features=stored["features"].numpy())


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}
