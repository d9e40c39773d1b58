"""The model card: README.md of a checkpoint folder, with the Hub's metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mvmr_zoo.card import LICENSE_NOT_STATED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvmr_zoo.card import Figure
    from mvmr_zoo.checkpoint.config import CheckpointConfig

_BENCHMARK = re.compile(r"(\w[\w.-]*)/(\w[\w@.-]*)")
"""A figure of this model on a named data set; others, such as a teacher's, stand in the table alone."""

_CITATION = """\
```bibtex
@article{kinakh2024mvmr,
  title   = {MV-MR: Multi-Views and Multi-Representations for Self-Supervised Learning and Knowledge Distillation},
  author  = {Kinakh, Vitaliy and Drozdova, Mariia and Voloshynovskiy, Slava},
  journal = {Entropy},
  volume  = {26},
  number  = {6},
  pages   = {466},
  year    = {2024}
}
```"""


def model_card(config: CheckpointConfig, *, spec: str | None = None) -> str:
    """The text of README.md: metadata, use, training, figures, limits, licence, citation.

    Args:
        config: the folder's facts.
        spec: what `load` is given to find it; its name unless said otherwise.
    """
    run: Mapping[str, Any] = config.training.get("run", {})
    data = config.training.get("data", {}).get("train", "not stated")
    head = f"\nIt has a classifier of {len(config.class_names)} classes: `model.classify([...])`.\n"
    return f"""---
{_metadata(config)}
---
# {config.name}

{config.architecture}: images of {config.preprocess.crop_px} px to {config.embedding_dim} features.

## Use

```python
import mvmr_zoo

model = mvmr_zoo.load("{spec or config.name}")
vectors = model.embed(["photo.jpg"])  # (1, {config.embedding_dim}) float32, unit L2 norm
```

`load` reads the centre {config.preprocess.crop_px} px of photos whose short side is resized to
{config.preprocess.resize_px} px. The folder runs in ONNX Runtime and in PyTorch.
{head if config.class_names else ""}
## Training

{config.source}

Training data: {data}.
{_recipe(config.training)}
## Figures

{_figures(config.metrics)}{_published(run)}
## Limits

{run.get("note") or "No limits are stated by whoever made it."}

Features follow the training data: what it did not show, they tell apart badly. Measure on photos of your own before
you rely on them.

## Licence

{_license(config.license)}

## Citation

{_CITATION}
"""


def _metadata(config: CheckpointConfig) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="image-classification",
            dataset_type=found.group(1),
            dataset_name=found.group(1),
            metric_type="accuracy",
            metric_name=found.group(2),
            metric_value=round(figure.value, 6),
        )
        for name, figure in config.metrics.items()
        if (found := _BENCHMARK.fullmatch(name))
    ]
    return ModelCardData(
        model_name=config.name,
        license="unknown" if config.license == LICENSE_NOT_STATED else config.license,
        library_name="mvmr-zoo",
        pipeline_tag="image-feature-extraction",
        tags=["mvmr", config.architecture],
        eval_results=results or None,
    ).to_yaml()


def _recipe(training: Mapping[str, Any]) -> str:
    if not training:
        return ""
    import yaml

    written = yaml.safe_dump({name: values for name, values in training.items() if name != "run"}, sort_keys=False)
    return f"\n<details><summary>The run's configuration</summary>\n\n```yaml\n{written}```\n\n</details>\n"


def _figures(metrics: Mapping[str, Figure]) -> str:
    if not metrics:
        return "None measured yet.\n"
    rows = [
        f"| {name} | {figure.value:.3f} | {_interval(figure)} | {figure.images or ''} | {figure.source} |"
        for name, figure in metrics.items()
    ]
    head = "| data / protocol | value | 95 % interval | images | report |\n| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def _published(run: Mapping[str, Any]) -> str:
    return f"\nFor this recipe its authors publish: {run['published']}.\n" if run.get("published") else ""


def _interval(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"


def _license(license_: str) -> str:
    if license_ == LICENSE_NOT_STATED:
        return "Not stated by the authors of the weights."
    return f"{license_}, for the weights."
