"""The house keeps its order: who imports whom, what importing loads, which names are public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mvmr_zoo

ROOT = Path(mvmr_zoo.__file__).parents[1]
PACKAGES = ("mvmr_zoo", "training", "export", "demo")
ORDER = (
    "errors", "atomic", "json_file", "preprocess", "images", "card", "pinned", "catalog", "state_dicts",
    "architectures", "encoder", "checkpoint", "weights_file", "foreign", "graph", "runtime", "exported", "verify",
    "pack", "home", "hub", "resolve", "archive", "official", "features", "embeddings", "nearest", "classify", "model",
    "zoo", "library", "shards", "bulk", "datasets", "evaluate", "progress", "samples", "quickstart", "terminal",
    "cli",
)  # fmt: skip
EXPORT_ORDER = (
    "installed", "agreement", "limits", "options", "search", "stages", "inputs", "photos", "speed", "half", "int8",
    "accuracy", "reference", "source", "convert", "measure", "certificate", "check", "write",
    "bench", "cli", "__main__",
)  # fmt: skip
DEMO_ORDER = (
    "markup", "uploads", "thumbnails", "trail", "search", "indexing", "photo_map", "comparison", "catalogue",
    "services", "opening", "guard", "theme", "tabs", "api", "app", "space", "cli", "__main__",
)  # fmt: skip
TABS_ORDER = ("parts", "detail", "filters", "search", "index", "map", "duplicates", "compare", "models")
PUBLIC = {
    "CATALOG", "Embeddings", "Failure", "Model", "ModelCard", "MvmrError", "PhotoLibrary", "Preprocess",
    "list_models", "load", "model_info",
}  # fmt: skip


def imported_modules(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_the_library(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        roots = {name.split(".")[0] for name in imported_modules(path)} & set(PACKAGES)
        allowed = {package} if package == "mvmr_zoo" else {package, "mvmr_zoo"}
        assert roots <= allowed, path


@pytest.mark.parametrize(("package", "order"), [("mvmr_zoo", ORDER), ("export", EXPORT_ORDER), ("demo", DEMO_ORDER)])
def test_modules_import_downward_only(package: str, order: tuple[str, ...]) -> None:
    for path in (ROOT / package).rglob("*.py"):
        own = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        assert own in order, f"{own} has no place in the order"
        for name in imported_modules(path):
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1 and parts[1] in order and parts[1] != own:
                assert order.index(parts[1]) < order.index(own), f"{path} imports {name}"


def test_what_the_page_does_knows_no_gradio() -> None:
    for name in DEMO_ORDER[: DEMO_ORDER.index("guard")]:
        assert "gradio" not in {each.split(".")[0] for each in imported_modules(ROOT / "demo" / f"{name}.py")}, name
    for path in (ROOT / "demo" / "tabs").glob("*.py"):
        for name in imported_modules(path):
            parts = name.split(".")
            if parts[:2] == ["demo", "tabs"] and len(parts) > 2 and path.stem != "__init__" and parts[2] != path.stem:
                assert TABS_ORDER.index(parts[2]) < TABS_ORDER.index(path.stem), f"{path} imports {name}"


def test_public_names() -> None:
    assert set(mvmr_zoo.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(mvmr_zoo, name) is not None
    with pytest.raises(AttributeError):
        _ = mvmr_zoo.no_such_name


def loaded_by(code: str) -> set[str]:
    """Top-level modules loaded after running `code` in a fresh interpreter."""
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_import_loads_nothing_heavy() -> None:
    heavy = {"torch", "torchvision", "onnxruntime", "onnx", "faiss", "numpy", "PIL"}
    assert not loaded_by("import mvmr_zoo") & heavy


def test_help_loads_nothing_heavy() -> None:
    code = "from typer.testing import CliRunner\nfrom mvmr_zoo.cli import app\n"
    code += "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    assert not loaded_by(code) & {"torch", "onnxruntime", "faiss", "numpy", "PIL", "pyarrow"}


def test_listing_models_loads_no_engine() -> None:
    loaded = loaded_by("import mvmr_zoo; assert mvmr_zoo.list_models()")
    assert not loaded & {"torch", "onnxruntime", "faiss"}


def test_what_repeats_a_certificate_loads_neither_pytorch_nor_onnx() -> None:
    loaded = loaded_by("import export.check")
    assert "numpy" in loaded
    assert not loaded & {"torch", "torchvision", "onnx", "onnxscript", "faiss"}


def test_help_of_the_page_loads_nothing_heavy() -> None:
    code = "from typer.testing import CliRunner\nfrom demo.cli import app\n"
    code += "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    assert not loaded_by(code) & {"gradio", "torch", "onnxruntime", "faiss", "numpy", "PIL"}


def test_help_of_exporting_loads_nothing_heavy() -> None:
    code = "from typer.testing import CliRunner\nfrom export.cli import app\n"
    code += "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    assert not loaded_by(code) & {"torch", "onnxruntime", "onnx", "faiss", "numpy", "PIL"}
