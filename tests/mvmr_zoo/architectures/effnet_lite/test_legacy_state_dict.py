from __future__ import annotations

import contextlib
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mvmr_zoo.architectures.effnet_lite.legacy_state_dict import MAGIC, PROTOCOL, read_legacy_state_dict
from mvmr_zoo.errors import CheckpointError


def save(path: Path, values: object) -> bytes:
    torch.save(values, path, _use_new_zipfile_serialization=False)
    return path.read_bytes()


STATE = {
    "weight": torch.arange(24, dtype=torch.float32).view(2, 3, 4),
    "turned": torch.arange(6, dtype=torch.float32).view(2, 3).T,
    "part": torch.arange(10, dtype=torch.float64)[3:7],
    "half": torch.ones(3, dtype=torch.float16),
    "count": torch.tensor(7),
    "none": torch.zeros(0, 5),
}


def test_tensors_are_those_that_were_saved(tmp_path: Path) -> None:
    """Strided, shared, scalar and empty ones, of every number format."""
    shared = torch.arange(8, dtype=torch.float32)
    state = STATE | {"first": shared[:4], "second": shared.view(2, 4)[:, 1]}
    save(tmp_path / "s.pth", state)
    found = read_legacy_state_dict(tmp_path / "s.pth")
    assert list(found) == list(state)
    for name, tensor in state.items():
        assert found[name].dtype == tensor.numpy().dtype
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_the_state_dict_of_a_module_can_be_read(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    save(tmp_path / "m.pth", module.state_dict())
    assert set(read_legacy_state_dict(tmp_path / "m.pth")) == set(module.state_dict())


class Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo executed > executed",)


CODE = (
    b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00exit\x85R.",
    b"(S'exit'\nios\nsystem\n.",  # INST
    b"\x80\x04\x8c\x02os\x8c\x06system\x93X\x04\x00\x00\x00exit\x85R.",  # STACK_GLOBAL
    b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R.",
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN\x85R.",
    b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.",  # BUILD of a dictionary is harmless
    b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.",  # BUILD of a function is not
    b"\x80\x02ccopyreg\n_reconstructor\n.",
    b"\x82\x01.",  # EXT1
    b"\x80\x02}r\xff\xff\xff\x7f.",  # a memo entry far away
    b"\x80\x02]q\x00h\x00a.",  # a list in itself
    b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",  # a bytearray of 2**63 bytes
)


@pytest.mark.parametrize("code", CODE)
def test_pickles_that_name_code_are_refused(code: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    start = pickle.dumps(MAGIC, 2) + pickle.dumps(PROTOCOL, 2) + pickle.dumps({}, 2)
    for content in (code, start + code, start + code + pickle.dumps([], 2)):
        (tmp_path / "bad.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"bad\.pth .* Reinstall the package that contains it\.$"):
            read_legacy_state_dict(tmp_path / "bad.pth")


def test_an_object_in_a_state_dict_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "bad.pth", {"weight": torch.ones(2), "extra": Runs()})
    with pytest.raises(CheckpointError, match=r"refers to posix\.system.*may run code\. No code in it was executed"):
        read_legacy_state_dict(tmp_path / "bad.pth")
    assert not (tmp_path / "executed").exists()


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path: Path) -> None:
    content = save(tmp_path / "s.pth", STATE)
    for length in (0, 1, 14, 20, 100, 200, len(content) // 2, len(content) - 100, len(content) - 1):
        (tmp_path / "s.pth").write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is truncated or is not a PyTorch state dict"):
            read_legacy_state_dict(tmp_path / "s.pth")
    (tmp_path / "s.pth").write_bytes(content + b"x")
    with pytest.raises(CheckpointError, match="extra data after the last tensor"):
        read_legacy_state_dict(tmp_path / "s.pth")
    with pytest.raises(CheckpointError, match=r"nothing\.pth cannot be read"):
        read_legacy_state_dict(tmp_path / "nothing.pth")


def test_values_that_are_not_finite_and_other_files_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "nan.pth", {"weight": torch.tensor([1.0, float("nan")])})
    with pytest.raises(CheckpointError, match="weight contains NaN or infinite values"):
        read_legacy_state_dict(tmp_path / "nan.pth")
    save(tmp_path / "list.pth", [torch.ones(2)])
    with pytest.raises(CheckpointError, match="does not contain a dictionary of tensors"):
        read_legacy_state_dict(tmp_path / "list.pth")
    torch.save(STATE, tmp_path / "new.pth")
    with pytest.raises(CheckpointError):
        read_legacy_state_dict(tmp_path / "new.pth")


def test_a_tensor_that_leaves_or_repeats_its_storage_is_refused(tmp_path: Path) -> None:
    content = save(tmp_path / "s.pth", {"weight": torch.arange(200, dtype=torch.float32).view(2, 100)})
    for before, after in (
        (b"K\x02Kd\x86", b"K\x03Kd\x86"),
        (b"KdK\x01\x86", b"KeK\x01\x86"),
        (b"KdK\x01\x86", b"K\x00K\x01\x86"),
    ):
        assert content.count(before) == 1
        (tmp_path / "s.pth").write_bytes(content.replace(before, after))
        if after == b"K\x00K\x01\x86":  # rows that share values stay within the storage
            assert read_legacy_state_dict(tmp_path / "s.pth")["weight"].shape == (2, 100)
            continue
        with pytest.raises(CheckpointError, match="weight extends beyond its stored values"):
            read_legacy_state_dict(tmp_path / "s.pth")
    save(tmp_path / "s.pth", {"weight": torch.zeros(1).expand(200, 200)})
    with pytest.raises(CheckpointError, match="weight uses the same stored values more than once"):
        read_legacy_state_dict(tmp_path / "s.pth")


def test_damaged_files_end_in_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 files with a few changed bytes: either tensors or a CheckpointError, and no code runs."""
    monkeypatch.chdir(tmp_path)
    content = save(tmp_path / "s.pth", STATE | {"extra": Runs()})
    good = save(tmp_path / "s.pth", STATE)
    draw = random.Random(0)
    for _ in range(500):
        damaged = bytearray(draw.choice((content, good)))
        for _ in range(draw.randint(1, 6)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        with contextlib.suppress(CheckpointError):
            found = read_legacy_state_dict(tmp_path / "damaged.pth", bytes(damaged))
            assert all(isinstance(each, np.ndarray) for each in found.values())
    assert not (tmp_path / "executed").exists()
