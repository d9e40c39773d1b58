"""The house keeps its order: who imports whom, what importing loads, which names are public."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mvmr_zoo

ROOT = Path(mvmr_zoo.__file__).parents[1]
PACKAGES = ("mvmr_zoo", "training", "export", "demo")
ORDER = (
    "errors", "_io", "images", "architectures", "checkpoint", "inference", "models", "datasets", "embed", "search",
    "evaluate", "quickstart", "cli",
)  # fmt: skip
EXPORT_ORDER = (
    "installed", "agreement", "limits", "options", "layer_search", "stages", "inputs", "photos", "speed", "half",
    "int8", "accuracy", "reference", "source", "convert", "measure", "parity_report", "check", "write",
    "bench", "cli", "__main__",
)  # fmt: skip
DEMO_ORDER = (
    "markup", "uploads", "thumbnails", "trail", "hits", "searcher", "indexing", "photo_map", "comparison", "catalog",
    "services", "opening", "throttle", "guard", "theme", "tabs", "api", "app", "space", "cli", "__main__",
)  # fmt: skip
TABS_ORDER = ("parts", "detail", "filters", "search", "index", "map", "duplicates", "compare")
TRAINING_ORDER = (
    "loss_options", "losses", "errors", "data.augmentation", "data.views", "data.sampler", "config", "console",
    "data.subsets", "data.dataset", "data", "targets", "optimizer", "student", "module", "callbacks", "finish",
    "checkpointing", "trainer", "runs", "option_errors", "cli", "pretrain", "distill", "finetune", "pin", "push",
    "whiten",
)  # fmt: skip
"""`data` comes in parts, because the configuration holds the options of some of them."""
PUBLIC = {
    "CATALOG", "CheckpointError", "ConfigError", "DataError", "Embeddings", "Failure", "Filters", "HubError",
    "ImageError", "ImageInput", "LibraryBusyError", "LibraryDamagedError", "LibraryError", "LibraryMismatchError",
    "LimitError", "MissingDependencyError", "Model", "ModelCard", "MvmrError", "PhotoLibrary", "Preprocess", "Query",
    "TrainingError", "UnknownModelError", "list_models", "load", "model_info",
}  # fmt: skip


def imported_modules(path: Path) -> set[str]:
    """Every module a file imports, anywhere in it."""
    return imports_of(ast.parse(path.read_text(encoding="utf-8")))


def imports_of(tree: ast.Module) -> set[str]:
    """Every module that parsed code imports."""
    found = set()
    for node in ast.walk(tree):
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


def test_the_root_of_the_library_is_small() -> None:
    modules = {path.stem for path in (ROOT / "mvmr_zoo").glob("*.py")} - {"__init__"}
    assert len(modules) <= 3, modules


def packages_of_the_library() -> set[str]:
    """Dotted names of all packages below `mvmr_zoo`, itself included."""
    found = (path.parent.relative_to(ROOT).parts for path in (ROOT / "mvmr_zoo").rglob("__init__.py"))
    return {".".join(parts) for parts in found}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_stop_at_the_surface_of_a_package(package: str) -> None:
    """`from mvmr_zoo.images.decode import ...` is for modules of `mvmr_zoo.images` only."""
    packages = packages_of_the_library()
    for path in (ROOT / package).rglob("*.py"):
        own = ".".join(path.relative_to(ROOT).parent.parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("mvmr_zoo."):
                continue
            module = str(node.module)
            owner = module.rpartition(".")[0]
            inside = own == owner or own.startswith(f"{owner}.")
            if module not in packages and owner != "mvmr_zoo":
                assert inside, f"{path} imports {module}, past {owner}"


def test_packages_list_what_they_offer() -> None:
    for package in packages_of_the_library():
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            assert getattr(module, name) is not None, f"{package}.{name}"


def training_stage(name: str) -> str:
    """The place in TRAINING_ORDER of a module or name such as `training.data.views`."""
    parts = name.split(".")[1:]
    return ".".join(parts[:2]) if ".".join(parts[:2]) in TRAINING_ORDER else parts[0]


def test_training_imports_downward_only() -> None:
    for path in (ROOT / "training").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if module == "training":
            continue
        own = training_stage(module)
        assert own in TRAINING_ORDER, f"{own} has no place in the order"
        for name in without_hints(path):
            if name.startswith("training.") and (stage := training_stage(name)) != own:
                assert stage in TRAINING_ORDER, f"{path} imports {name}"
                assert TRAINING_ORDER.index(stage) < TRAINING_ORDER.index(own), f"{path} imports {name}"


def without_hints(path: Path) -> set[str]:
    """What a file imports when it runs: without the imports of `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    return imports_of(tree)


def test_importing_training_loads_no_torch() -> None:
    assert not loaded_by("import training; dir(training)") & {"torch", "pytorch_lightning", "jsonargparse", "numpy"}


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
    assert set(dir(mvmr_zoo)) >= PUBLIC
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
    code = "from typer.testing import CliRunner\nfrom mvmr_zoo.cli.app import app\n"
    code += "assert CliRunner().invoke(app, ['--help']).exit_code == 0"
    assert not loaded_by(code) & {"torch", "onnxruntime", "faiss", "numpy", "PIL", "pyarrow"}


def test_listing_models_loads_no_engine() -> None:
    loaded = loaded_by("import mvmr_zoo; assert mvmr_zoo.list_models()")
    assert not loaded & {"torch", "onnxruntime", "faiss"}


def test_importing_export_check_loads_neither_pytorch_nor_onnx() -> None:
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
