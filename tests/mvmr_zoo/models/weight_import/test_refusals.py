from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mvmr_zoo.errors import CheckpointError, ConfigError
from mvmr_zoo.models.weight_import import import_weights

from .layouts import network


class Malicious:
    """Creates a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil-was-here",)


def test_a_pickle_that_runs_code(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, options in enumerate(({}, {"_use_new_zipfile_serialization": False})):
        file = zoo.parent / f"evil{number}.pth"
        torch.save({"encoder": network().state_dict(), "more": Malicious()}, file, **options)
        with pytest.raises(CheckpointError, match=rf"evil{number}\.pth: the pickle refers to posix\.system") as caught:
            import_weights(file, "evil", preprocess="cifar")
        assert "\n" not in str(caught.value)
    torch.save({"more": Malicious()}, tmp_path / "evil4.pth", pickle_protocol=4)
    with pytest.raises(CheckpointError, match=r"evil4\.pth .* may run code\. It was not executed"):
        import_weights(tmp_path / "evil4.pth", "evil", preprocess="cifar")
    assert not (tmp_path / "evil-was-here").exists()
    assert not zoo.exists() or list(zoo.iterdir()) == []


def refused(zoo: Path, content: Any, message: str, name: str = "bad") -> None:
    """Check that the import fails with a message of one line that names the file, and leaves nothing behind."""
    file = zoo.parent / "file.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    with pytest.raises(CheckpointError, match=message) as caught:
        import_weights(file, name, preprocess="cifar")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert not zoo.exists() or list(zoo.iterdir()) == []


def test_files_that_are_refused(zoo: Path) -> None:
    good = network().state_dict()
    whole = zoo.parent / "whole.pth"
    torch.save(good, whole)
    refused(zoo, whole.read_bytes()[: whole.stat().st_size // 2], "cannot be read as weights. It may be truncated")
    refused(zoo, b"", "cannot be read")
    refused(zoo, b"\x80\x04\x95 nonsense", "cannot be read")
    refused(zoo, [1, 2], "contains list; expected a dictionary")
    refused(zoo, {"state_dict": 3}, "does not match any known architecture")
    refused(
        zoo,
        good | {"conv1.weight": torch.full((64, 3, 7, 7), torch.nan)},
        "conv1.weight contains NaN or infinite values",
    )
    refused(zoo, good | {"bn1.weight": torch.ones(64, dtype=torch.int64)}, "bn1.weight contains NaN")
    lost = torch.full((64,), torch.nan).to(torch.float8_e4m3fn)
    refused(zoo, good | {"bn1.weight": lost}, "bn1.weight contains NaN")
    refused(
        zoo,
        good | {"layer1.0.conv1.weight": torch.ones(64, 32, 3, 3)},
        r"layer1\.0\.conv1\.weight has shape \(64, 32, 3, 3\)",
    )
    refused(zoo, {k: v for k, v in good.items() if k != "bn1.bias"}, r"Closest: resnet18, .* bn1\.bias is missing")
    refused(zoo, good, "is a resnet18, but resnet50-stl10 in the catalog is a resnet50-small", name="resnet50-stl10")


def test_odd_tensors_are_refused(zoo: Path) -> None:
    good = network().state_dict()
    head = {"encoder": good, "classifier": {"weight": torch.zeros(1).expand(10**7, 10**7)}}
    refused(zoo, head, r"has 400,000,\d+ MB of tensors, many of which share their values")
    refused(zoo, good | {"conv1.weight": good["conv1.weight"].to_sparse()}, r"conv1\.weight is not a plain tensor")
    refused(zoo, good | {"conv1.weight": torch.empty(64, 3, 7, 7, device="meta")}, "is not a plain tensor")
    refused(zoo, {"model": good, "module": network(seed=1).state_dict()}, r"conv1\.weight occurs twice")
    split = {f"model.{name}": tensor for name, tensor in good.items()}
    refused(zoo, split | {"model": network(seed=1).state_dict()}, r"conv1\.weight occurs twice")
    endless: dict[str, Any] = {}
    endless["model"] = endless
    refused(zoo, endless, "does not match any known architecture")
    scripted = zoo.parent / "script.pth"
    with pytest.warns(FutureWarning):
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), scripted)
    refused(zoo, scripted.read_bytes(), "is a TorchScript program")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 97, "a b"])
def test_invalid_names(zoo: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a valid model name"):
        import_weights(zoo.parent / "a.pth", name, preprocess="cifar")
    assert not zoo.exists()


def test_names_and_preprocessing_that_are_refused(zoo: Path) -> None:
    torch.save(network().state_dict(), zoo.parent / "a.pth")
    with pytest.raises(ConfigError, match=r"preprocess is required\. Set it to one of imagenet, stl10, cifar, voc07"):
        import_weights(zoo.parent / "a.pth", "mine")
    with pytest.raises(ConfigError, match="Closest: imagenet"):
        import_weights(zoo.parent / "a.pth", "mine", preprocess="imagnet")
    with pytest.raises(ConfigError, match="is already on this machine"):
        import_weights(zoo.parent / "a.pth", "effnet-lite1-whitened")
    import_weights(zoo.parent / "a.pth", "mine", preprocess="cifar")
    with pytest.raises(ConfigError, match="mine is already on this machine"):
        import_weights(zoo.parent / "a.pth", "mine", preprocess="cifar")
    with pytest.raises(CheckpointError, match=r"b\.pth is not a file"):
        import_weights(zoo.parent / "b.pth", "other", preprocess="cifar")


def test_a_compressed_file(zoo: Path) -> None:
    """A file of 2.9 MB held 8.3 GB."""
    whole = zoo.parent / "whole.pth"
    torch.save({"conv1.weight": torch.zeros(10_000_000)}, whole)
    packed = io.BytesIO()
    with zipfile.ZipFile(whole) as archive, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as smaller:
        for entry in archive.namelist():
            smaller.writestr(entry, archive.read(entry))
    refused(zoo, packed.getvalue(), r"is a compressed archive of \d+ MB; expected a file that torch.save wrote")


def test_tensors_that_share_their_values(zoo: Path) -> None:
    large = torch.zeros(1).expand(1_000_000)
    refused(zoo, network().state_dict() | {f"more{n}": large for n in range(100)}, "many of which share their values")


def test_parts_that_contain_each_other_often(zoo: Path) -> None:
    """Each level holds the one below it twice, so that reading them one by one never ended."""
    part: dict[str, Any] = {}
    for _ in range(60):
        part = {"model": part, "module": part}
    refused(zoo, {"state_dict": part}, "does not match any known architecture")
