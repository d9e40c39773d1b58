"""Compares CUDA with the CPU outside training: embedding, fixed functions of pixels, search, export."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_checks.bench import Bench, Figures, SkippedError, expect

COSINE = 0.9999
"""Least cosine of a photo's embeddings on the two devices, as for golden answers."""
BATCHES = (1, 16, 64, 256)


def embed_bundled(bench: Bench) -> Figures:
    """The bundled model."""
    return _embed(bench, _spec(bench))


def embed_resnet50(bench: Bench) -> Figures:
    """A ResNet-50 at 224 px with random weights."""
    return _embed(bench, bench.untrained("resnet8", 32) if bench.quick else bench.untrained("resnet50", 224))


def _spec(bench: Bench) -> str:
    """The bundled model, or a tiny one when quick."""
    from mvmr_zoo.models import BUNDLED_MODEL

    return bench.untrained("resnet8", 32) if bench.quick else BUNDLED_MODEL


def _embed(bench: Bench, spec: str) -> Figures:
    """PyTorch on both devices: the vectors, and images per second from files and of the network by batch size."""
    import mvmr_zoo

    model = mvmr_zoo.load(spec, device=bench.device, runtime="torch")  # type: ignore[arg-type]
    expected = mvmr_zoo.load(spec, device="cpu", runtime="torch").embed(bench.photos[:32])
    figures = _same_vectors(model.embed(bench.photos[:32]), expected)
    began = time.perf_counter()
    model.embed(bench.photos)
    figures |= {"images_per_s_from_files": len(bench.photos) / (time.perf_counter() - began)}
    network = model.encoder.to(bench.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    px = model.preprocess.crop_px
    for precision in ("fp32", "bf16"):
        rates = {}
        for size in BATCHES[:1] if bench.quick else BATCHES:
            images = torch.randn(size, 3, px, px, device=bench.device).to(memory_format=torch.channels_last)
            with torch.inference_mode(), torch.autocast(bench.device, torch.bfloat16, enabled=precision == "bf16"):
                rates[size] = size / bench.seconds(lambda images=images: network(images))  # type: ignore[misc]
        figures[f"network_images_per_s_{precision}_by_batch"] = rates
    return {"px": px} | figures


def _same_vectors(found: NDArray[np.float32], expected: NDArray[np.float32]) -> Figures:
    """The least cosine of rows, also after subtraction of the mean, which all embeddings of an encoder share."""
    cosine = float((found * expected).sum(axis=1).min())
    expect(cosine >= COSINE, f"the least cosine is {cosine:.6f}; expected at least {COSINE}")
    mean = expected.mean(axis=0)
    a, b = found - mean, expected - mean
    centered = float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())
    expect(centered >= 0.995, f"the least cosine of centered vectors is {centered:.6f}; expected at least 0.995")
    return {"min_cosine": cosine, "min_centered_cosine": centered}


def scattering(bench: Bench) -> Figures:
    """Values; images per second, and kernel launches per batch, by image size."""
    from training import Scattering

    compute, figures = Scattering(), {}
    for px, count in ((32, 4),) if bench.quick else ((96, 64), (224, 64)):
        images = _images(count, px)
        expected, images = compute(images[:4]), images.to(bench.device)
        difference = float((compute(images[:4]).cpu() - expected).abs().max() / expected.abs().max())
        expect(difference <= 1e-4, f"at {px} px the largest difference is {difference:.1e} of the largest value")
        seconds = bench.seconds(lambda images=images: compute(images))  # type: ignore[misc]
        figures[f"{px}_px"] = {
            "relative_difference": difference,
            "batch": count,
            "images_per_s": count / seconds,
            "batch_ms": 1000 * seconds,
            "kernel_launches": _launches(bench, lambda images=images: compute(images)),
        }
    return figures


def _launches(bench: Bench, call: Any) -> int | None:
    """Kernels that a call launches; None on a CPU."""
    if bench.device != "cuda":
        return None
    kinds = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[kinds.CPU, kinds.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    return sum(int(each.count) for each in profile.key_averages() if "LaunchKernel" in each.key)


def distance_correlations(bench: Bench) -> Figures:
    """Values and gradients of both estimators, and the time forward and backward."""
    from training import distance_correlation

    rows, dims = (16, 32) if bench.quick else (256, 2048)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(rows, dims, generator=random)
    y = x[:, : dims // 2] + torch.randn(rows, dims // 2, generator=random)
    figures: Figures = {"rows": rows, "dims": dims}
    for estimator in ("biased", "unbiased"):

        def gradient(device: str, estimator: Any = estimator) -> tuple[float, torch.Tensor]:
            z = x.to(device).requires_grad_()
            value = distance_correlation(z, y.to(device), estimator)
            (slope,) = torch.autograd.grad(value, z)
            return value.item(), slope.cpu()

        (value, slope), (expected, expected_slope) = gradient(bench.device), gradient("cpu")
        difference = float((slope - expected_slope).norm() / expected_slope.norm())
        expect(abs(value - expected) <= 1e-4, f"{estimator}: {value:.6f}, but {expected:.6f} on the CPU")
        expect(difference <= 1e-3, f"{estimator}: the gradient differs by {difference:.1e} of its norm")
        figures[estimator] = {
            "value": value,
            "difference": abs(value - expected),
            "relative_gradient_difference": difference,
            "forward_backward_ms": 1000 * bench.seconds(lambda run=gradient: run(bench.device)),  # type: ignore[misc]
        }
    return figures


def representations(bench: Bench) -> Figures:
    """Color augmentation, HOG and local deviation: speed, and the mean difference, because ties may change the bin."""
    from training import Hog, LocalDeviation
    from training.data import AugmentConfig, color_batch, draw_view
    from training.data.views import color_row

    count = 8 if bench.quick else 128
    policy = AugmentConfig().parameters
    colors = torch.stack([color_row(draw_view(policy, bench.px, bench.px, bench.px, i).color) for i in range(count)])
    images, figures = _images(count, bench.px), {}
    functions = {"hog": Hog(), "local_deviation": LocalDeviation()}
    functions["color"] = lambda images: color_batch(images, colors.to(images.device))  # type: ignore[assignment]
    for name, function in functions.items():
        here = images.to(bench.device)
        difference = float((function(here).cpu() - function(images)).abs().mean())
        expect(difference <= 1e-4, f"{name}: the mean difference is {difference:.1e}; values are in [0, 1]")
        seconds = bench.seconds(lambda function=function, here=here: function(here))  # type: ignore[misc]
        figures[name] = {"mean_difference": difference, "images_per_s": count / seconds}
    return figures


def onnxruntime(bench: Bench) -> Figures:
    """Compare ONNX Runtime's CUDA provider with its CPU provider, from files to vectors."""
    import mvmr_zoo

    _need_onnx_cuda(bench)
    spec = _spec(bench)
    expected = mvmr_zoo.load(spec, device="cpu", runtime="onnx").embed(bench.photos[:32])
    model = mvmr_zoo.load(spec, device=bench.device, runtime="onnx")  # type: ignore[arg-type]
    provider = model.engine._session.get_providers()[0]  # type: ignore[attr-defined]
    wanted = "CUDAExecutionProvider" if bench.device == "cuda" else "CPUExecutionProvider"
    expect(provider == wanted, f"ONNX Runtime used {provider} instead of {wanted}: its CUDA libraries do not load")
    figures = _same_vectors(model.embed(bench.photos[:32]), expected)
    began = time.perf_counter()
    model.embed(bench.photos)
    rate = len(bench.photos) / (time.perf_counter() - began)
    return {"provider": provider, "images_per_s_from_files": rate} | figures


def _need_onnx_cuda(bench: Bench) -> None:
    import onnxruntime as ort

    if bench.device == "cuda" and "CUDAExecutionProvider" not in ort.get_available_providers():
        raise SkippedError("this build of ONNX Runtime has no CUDA provider; onnxruntime-gpu has one")


def _need_faiss_gpu(bench: Bench) -> None:
    from mvmr_zoo.search.index import has_gpu

    if bench.device == "cuda" and not has_gpu():
        raise SkippedError("this build of faiss cannot use the GPU; faiss-gpu can")


def faiss_search(bench: Bench) -> Figures:
    """The library's two kinds of index on the GPU: the same hits, up to ties within rounding; queries per second."""
    from mvmr_zoo.search.index import clusters_for, faiss_library, on_gpu, train

    _need_faiss_gpu(bench)
    faiss = faiss_library()
    rows, dim, k = 2_000 if bench.quick else 100_000, 128, 10
    random = np.random.default_rng(0)
    vectors, queries = (random.standard_normal((n, dim), np.float32) for n in (rows, 200))
    for each in (vectors, queries):
        each /= np.linalg.norm(each, axis=1, keepdims=True)
    figures: Figures = {"rows": rows, "dim": dim}
    for kind in ("IDMap2,Flat", f"IVF{clusters_for(rows)},SQfp16"):
        index = faiss.index_factory(dim, kind, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            train(index, vectors)
        index.add_with_ids(vectors, np.arange(rows))
        options = {"params": faiss.SearchParametersIVF(nprobe=16)} if kind.startswith("IVF") else {}
        there = on_gpu(index) if bench.device == "cuda" else index
        scores, ids = there.search(queries, k, **options)
        expected, expected_ids = index.search(queries, k, **options)
        worst = float(np.abs(scores - expected).max())
        expect(worst <= 1e-3, f"{kind}: a score differs by {worst:.1e}")
        other = np.array([len(set(a) - set(b)) for a, b in zip(ids.tolist(), expected_ids.tolist(), strict=True)])
        tied = expected[:, -2] - expected[:, -1] < 1e-3  # the last hit may be another photo with nearly the same score
        expect(bool((other <= tied).all()), f"{kind}: {int((other > tied).sum())} of 200 queries have other hits")
        figures[kind] = {
            "largest_score_difference": worst,
            "queries_with_the_same_ids": float((other == 0).mean()),
            "queries_per_s": len(queries) / bench.seconds(lambda i=there, o=options: i.search(queries, k, **o)),  # type: ignore[misc]
        }
    return figures


def library_search(bench: Bench) -> Figures:
    """Index and search a photo library on the device, and search the same library on the CPU."""
    import mvmr_zoo

    _need_faiss_gpu(bench)
    folder, spec = bench.folder / "library", _spec(bench)
    found: dict[str, NDArray[np.float64]] = {}
    for device in (bench.device, "cpu"):
        with mvmr_zoo.PhotoLibrary(folder, model=spec, device=device) as library:  # type: ignore[arg-type]
            if device == bench.device and not found:
                began = time.perf_counter()
                library.add([bench.photos[0].parent])
                seconds = time.perf_counter() - began
            hits = [library.search(photo, k=5) for photo in bench.photos[:10]]
            found[device] = np.array([[hit.score for hit in each] for each in hits])
    worst = float(np.abs(found[bench.device] - found["cpu"]).max())
    expect(worst <= 2e-3, f"the scores of hits differ by {worst:.1e}")
    return {"largest_score_difference": worst, "images_per_s_indexed": len(bench.photos) / seconds}


def export(bench: Bench) -> Figures:
    """`mvmr-export onnx --device`, which measures the exported model on the device."""
    from export.options import ExportOptions
    from export.write import Demands, export_onnx

    _need_onnx_cuda(bench)
    options = ExportOptions(device=bench.device)  # type: ignore[arg-type]
    demands = Demands(images=bench.photos[0].parent)
    report = export_onnx(_spec(bench), bench.folder / "exported", options, demands)
    expect(report.passed, f"limits were missed: {[each.name for each in report.verdicts if not each.passed]}")
    return {each.name: each.found for each in report.verdicts}


def _images(count: int, px: int) -> torch.Tensor:
    """`(count, 3, px, px)` float32 in [0, 1], smooth like photos."""
    coarse = torch.rand(count, 3, max(2, px // 8), max(2, px // 8), generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=(px, px), mode="bicubic").clamp(0, 1)
