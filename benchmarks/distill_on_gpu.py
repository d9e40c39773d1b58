"""Distillation with all photos in GPU memory, for GPUs that are faster than the processes that crop photos.

    python benchmarks/distill_on_gpu.py FOLDER --seconds 300 --output OUT [--student timm:efficientnet_lite0]

FOLDER holds Parquet files of encoded photos (see docs/training.md). Each photo becomes a square of `--canvas` pixels,
and crops, flips and colors are computed on the GPU. The loss, the teacher, the student and the distribution of views
are those of `training.distill` with `teacher.view: same`. The run ends after a time instead of a number of epochs.

With several teachers, the targets are principal components of their embeddings (`--dim`, `--whitening`; see
`training.targets.fit_space`). `--student effnet-lite:0 --start-from effnet-lite:0` adapts EfficientNet-Lite0 to smaller
images:

    python benchmarks/distill_on_gpu.py SHARP_PHOTOS --seconds 300 --output OUT --student effnet-lite:0 \
        --start-from effnet-lite:0 --teachers effnet-lite:0 effnet-lite:2 --dim 512 --whitening 0.5 \
        --canvas 256 --sizes 128 128 --min-scale 0.4 --lr 5e-4 --batch 256

It writes `OUT/averaged.safetensors` (moving average of encoder and projector, with the teachers' mean and projection),
`OUT/stable.safetensors` (the same before the learning rate falls) and `OUT/log.json`. All are float16, and float32 for
the statistics of batch norm, the mean and the projection.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import mvmr_zoo
from mvmr_zoo.architectures import is_statistic
from mvmr_zoo.datasets import open_images
from mvmr_zoo.images import IMAGENET_MEAN, IMAGENET_STD
from training.config import OptimConfig, StudentConfig
from training.data import color_batch
from training.losses import DistillationLoss
from training.losses.regression import TEACHER
from training.optimizer import make_optimizer
from training.student import make_encoder, make_projector
from training.targets import Teacher, Teachers, TeacherSpace, fit_space

SAMPLE_IMAGES = 8192
"""Photos for the mean of the teacher's embeddings, or their principal components."""
RIDGE = 0.1
"""Share of the mean variance of a feature that is added to the diagonal of the ridge regression."""
WARMUP, DECAY, LARGE = 0.04, 0.3, 0.65
"""Shares of the run: the warm-up, the last part in which the learning rate falls, and the start of the larger size."""


def main() -> None:
    """Load, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="length of the training, without loading")
    parser.add_argument("--student", default="timm:efficientnet_lite0")
    parser.add_argument("--start-from", help="model spec of the student's first weights; random without it")
    parser.add_argument("--teachers", nargs="+", default=["effnet-lite:0"])
    parser.add_argument("--teacher-px", type=int, help="side of the teachers' images; their own without it")
    parser.add_argument("--dim", type=int, help="principal components of the teachers' embeddings; all without it")
    parser.add_argument("--whitening", type=float, default=0.0)
    parser.add_argument(
        "--sizes", type=int, nargs=2, default=(96, 128), help="sides of the student's views, first and later"
    )
    parser.add_argument("--canvas", type=int, default=112)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--lr", type=float, default=2.5e-3)
    parser.add_argument("--similarity", type=float, default=0.5)
    parser.add_argument("--min-scale", type=float, default=0.25)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=16)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    photos = torch.from_numpy(canvases(options.folder, options.canvas, options.workers)).to(options.device)
    print(f"[{time.monotonic() - began:.0f} s] {len(photos):,} photos of {options.canvas} px", flush=True)
    torch.manual_seed(0)
    log = train(photos, options)
    (options.output / "log.json").write_text(json.dumps({"options": vars(options), "log": log}, default=str, indent=1))


def train(photos: Tensor, options: argparse.Namespace) -> list[dict[str, float]]:
    """Train for `options.seconds` and save the weights. Returns the log, with a row every 100 steps."""
    device = photos.device
    teachers = [Teacher(spec, options.teacher_px) for spec in options.teachers]
    sample = photos[:: max(1, len(photos) // SAMPLE_IMAGES)]
    space = teacher_space(teachers, sample, options)
    teach = Teachers(teachers, space)
    width = options.dim or teachers[0].dim
    config = StudentConfig(architecture=options.student, projector=(width,), start_from=options.start_from)
    encoder = make_encoder(config).to(device).to(memory_format=torch.channels_last)
    student = nn.ModuleDict({"encoder": encoder, "projector": make_projector(config, encoder.embedding_dim).to(device)})
    norm = [torch.tensor(value, device=device).view(1, 3, 1, 1) for value in normalization(options.student)]
    if options.start_from:
        fit_projector(student, sample[: options.batch * 16], teach, norm, options)
    loss = DistillationLoss(
        invariance=0, variance=0, views=0, regression=1, similarity=options.similarity, teacher_dim=width
    ).to(device)
    optimizer = make_optimizer(student, OptimConfig(peak_lr=options.lr, weight_decay=0.05))
    average = {name: each.detach().clone() for name, each in student.state_dict().items() if each.is_floating_point()}
    largest = max(teacher.preprocess.crop_px for teacher in teachers)
    order, step, views, stable, log = torch.empty(0, dtype=torch.long), 0, 0, False, []
    began = time.monotonic()
    while (progress := (time.monotonic() - began) / options.seconds) < 1:
        if len(order) < options.batch:
            order = torch.randperm(len(photos))
        chosen, order = order[: options.batch].to(device), order[options.batch :]
        if progress > 1 - DECAY and not stable:
            save(options.output / "stable.safetensors", average, space)
            stable = True
        px = options.sizes[progress > LARGE]
        seen = crops(photos[chosen], largest, options.min_scale).clamp(0, 1)
        target = teach(seen)
        small = F.interpolate(seen, (px, px), mode="bilinear", antialias=True).clamp(0, 1)
        inputs = ((color_batch(small, colors(len(small), device)) - norm[0]) / norm[1]).contiguous(
            memory_format=torch.channels_last
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            z = student["projector"](student["encoder"](inputs))
        found = loss(z, None, {TEACHER: target})
        for group in optimizer.param_groups:
            group["lr"] = options.lr * lr_share(progress)
        optimizer.zero_grad(set_to_none=True)
        found.total.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        now = student.state_dict()
        decay = min(options.ema, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(average.values()), [now[name] for name in average], 1 - decay)
        step, views = step + 1, views + options.batch
        if step % 100 == 1:
            row = {"step": step, "views": views, "px": px, "seconds": round(time.monotonic() - began, 1)}
            log.append(row | {name: round(term.item(), 4) for name, term in found.terms.items()})
            print(log[-1], flush=True)
    save(options.output / "averaged.safetensors", average, space)
    print(f"{views:,} views in {time.monotonic() - began:.0f} s", flush=True)
    return [*log, {"step": step, "views": views}]


def lr_share(progress: float) -> float:
    """Warm-up, stable, decay: the share of the peak learning rate at a share of the run."""
    if progress < WARMUP:
        return progress / WARMUP + 1e-3
    return max(1e-3, 1 - math.sqrt(max(0.0, (progress - 1 + DECAY) / DECAY)))


def crops(images: Tensor, px: int, min_scale: float) -> Tensor:
    """Crop and flip square images `(N, 3, C, C)` uint8 at random. Returns `(N, 3, px, px)` float in [0, 1]."""
    n, device = len(images), images.device
    area = torch.empty(n, device=device).uniform_(min_scale, 1)
    ratio = torch.empty(n, device=device).uniform_(math.log(3 / 4), math.log(4 / 3)).exp()
    width, height = (area * ratio).sqrt().clamp_max(1), (area / ratio).sqrt().clamp_max(1)
    x, y = (torch.empty(n, device=device).uniform_(-1, 1) * (1 - side) for side in (width, height))
    flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(x)
    affine = torch.stack([torch.stack([width * flip, zero, x], 1), torch.stack([zero, height, y], 1)], 1)
    grid = F.affine_grid(affine, [n, 3, px, px], align_corners=False)
    return F.grid_sample(images.float() / 255, grid, padding_mode="reflection", align_corners=False)


def colors(n: int, device: torch.device) -> Tensor:
    """Rows for `color_batch`: jitter of 0.3 for brightness, contrast and saturation at p 0.8, gray at p 0.05."""
    factors = torch.empty(n, 4, device=device).uniform_(0.7, 1.3)
    factors = torch.where(torch.rand(n, 1, device=device) < 0.8, factors, 1.0)
    factors[:, 3] = 0
    order = torch.rand(n, 4, device=device).argsort(dim=1).float()
    gray = (torch.rand(n, 1, device=device) < 0.05).float()
    return torch.cat([factors, order, gray, torch.zeros(n, 1, device=device)], dim=1)


def normalization(architecture: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the student's input: EfficientNet-Lite's own, else ImageNet's."""
    if architecture.startswith("effnet-lite:"):
        own = mvmr_zoo.load(architecture).preprocess
        return own.mean, own.std
    return IMAGENET_MEAN, IMAGENET_STD


def teacher_space(teachers: list[Teacher], sample: Tensor, options: argparse.Namespace) -> TeacherSpace:
    """The space of the targets, from the embeddings of whole photos `(M, 3, C, C)` uint8."""
    parts = [torch.cat([_whole(teacher, each) for each in sample.split(options.batch)]).cpu() for teacher in teachers]
    if options.dim is None:
        (rows,) = parts
        return TeacherSpace(rows.mean(dim=0))
    return fit_space([rows.numpy() for rows in parts], options.dim, options.whitening)


def _whole(teacher: Teacher, photos: Tensor) -> Tensor:
    px = teacher.preprocess.crop_px
    return teacher(F.interpolate(photos.float() / 255, (px, px), mode="bilinear", antialias=True).clamp(0, 1))


@torch.no_grad()
def fit_projector(
    student: nn.ModuleDict, sample: Tensor, teach: Teachers, norm: list[Tensor], options: argparse.Namespace
) -> None:
    """Start the projector at the ridge regression from the untouched student's features to the targets."""
    largest = max(teacher.preprocess.crop_px for teacher in teach.teachers)
    px, features, targets = options.sizes[0], [], []
    student["encoder"].eval()
    for part in sample.split(options.batch):
        seen = crops(part, largest, options.min_scale).clamp(0, 1)
        small = F.interpolate(seen, (px, px), mode="bilinear", antialias=True).clamp(0, 1)
        features.append(student["encoder"]((small - norm[0]) / norm[1]))
        targets.append(teach(seen))
    student["encoder"].train()
    rows = torch.cat(features).double()
    gram = rows.T @ rows
    ridge = RIDGE * torch.linalg.matrix_norm(rows - rows.mean(dim=0)).square() / len(gram)
    weight = torch.linalg.solve(gram + ridge * torch.eye(len(gram)).to(gram), rows.T @ torch.cat(targets).double())
    student["projector"][0].weight.copy_(weight.T)


def save(path: Path, average: dict[str, Tensor], space: TeacherSpace) -> None:
    """Save encoder and projector, and the teachers' mean and projection."""
    tensors = {name: each.float() if is_statistic(name) else each.half() for name, each in average.items()}
    tensors["teacher_mean"] = space.mean
    if space.projection is not None:
        tensors["teacher_projection"] = space.projection
    save_file({name: each.cpu().contiguous() for name, each in tensors.items()}, path)


def canvases(folder: Path, px: int, workers: int) -> NDArray[np.uint8]:
    """Every photo as a square `(N, 3, px, px)`. Photos are cropped to at most 4:3 before they are resized."""
    rows = len(open_images(f"parquet:{folder}"))
    bounds = np.linspace(0, rows, 4 * workers + 1).astype(int)
    spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    with ProcessPoolExecutor(workers) as pool:
        parts = pool.map(_canvases, [folder] * len(spans), spans, [px] * len(spans))
        return np.concatenate(list(parts))


def _canvases(folder: Path, span: tuple[int, int], px: int) -> NDArray[np.uint8]:
    images = open_images(f"parquet:{folder}")
    made = np.empty((span[1] - span[0], 3, px, px), np.uint8)
    for place, row in enumerate(range(*span)):
        image = images.image(row)
        width, height = image.size
        w, h = min(width, height * 4 // 3), min(height, width * 4 // 3)
        left, top = (width - w) // 2, (height - h) // 2
        square = image.resize((px, px), Image.Resampling.BILINEAR, box=(left, top, left + w, top + h))
        made[place] = np.asarray(square).transpose(2, 0, 1)
    return made


if __name__ == "__main__":
    main()
