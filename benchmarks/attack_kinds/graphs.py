"""Hostile ONNX graphs: as `onnx:FILE`, in a checkpoint folder with right hashes, and in an exported folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from benchmarks.attack_kinds.arena import Arena, Try, small_photos, written_files
from benchmarks.attack_kinds.checkpoints import PX, tiny_checkpoint
from benchmarks.attack_kinds.photos import MUTATIONS

TRIES = 15
"""Graphs with damaged bytes, besides the crafted ones."""

_EXPORTED = ("endless-loop", "constant-of-8-gb", "data-outside", "data-beside", "index-out-of-range")
_ALTERED = ("model.onnx", "config.json", "reference.safetensors")
_MUST_FAIL = ("data-outside", "data-absolute", "custom-operator", "index-out-of-range", "claimed-initializer")
_FOLDERS_MUST_FAIL = (*_MUST_FAIL, "data-beside", "endless-loop", "endless-scan", "nested-branches")
"""In folders, also data that their hashes do not cover, and control flow."""

_MAX_INT = (1 << 62) - 1


def attack_graphs(arena: Arena) -> Iterator[Try]:
    """Embed three photos with each graph in each of the three forms."""
    folder = arena.place("graphs")
    photos = folder / "photos"
    photos.mkdir()
    for number, photo in enumerate(small_photos()[:3]):
        Image.fromarray(photo).save(photos / f"{number}.jpg")
    (folder / "secret.bin").write_bytes(np.full(4, 0.5, np.float32).tobytes())
    tiny = tiny_checkpoint(arena)
    forms: dict[str, Callable[[Path, str], str]] = {
        "onnx": lambda place, name: _as_file(place, name),
        "checkpoint": lambda place, name: _as_checkpoint(place, name, tiny),
    }
    tries = [(form, name) for form in forms for name in CRAFTED]
    exported = folder / "valid-export"
    ran = arena.run("export", "onnx", tiny, exported, "--allow-failed", stop_s=300)
    if ran.code:
        raise SystemExit(f"`mvmr-export onnx` fails on a plain model: {ran.stderr or ran.stopped}")
    forms["exported"] = lambda place, name: _as_export(place, name, exported)
    tries += [("exported", name) for name in _EXPORTED]
    for file in _ALTERED:
        forms[f"altered-{file}"] = lambda place, _, file=file: _altered(place, file, exported)  # type: ignore[misc]
        tries.append((f"altered-{file}", "altered"))
    plain = folder / "plain.onnx"
    onnx.save(plain_graph(), plain)
    for number in range(arena.tries or TRIES):
        random = arena.random(3, number)
        mutation = list(MUTATIONS)[random.integers(len(MUTATIONS))]
        content = MUTATIONS[mutation](plain.read_bytes(), random)
        name = f"{number:03}-{mutation}"
        forms[name] = lambda place, _, content=content: _written(place / "a.onnx", content)  # type: ignore[misc]
        tries.append((name, "damaged"))
    return arena.each(lambda each: _embed(arena, photos, each[0], each[1], forms[each[0]]), tries)


def _embed(arena: Arena, photos: Path, form: str, name: str, make: Callable[[Path, str], str]) -> Iterator[Try]:
    place = arena.place("graphs", f"{form}-{name}")
    spec = make(place, name)
    ran = arena.zoo("embed", photos, "--model", spec, "-o", place / "vectors")
    more = []
    if ran.code == 0:
        values = [np.load(file) for file in place.glob("vectors/img_emb/*.npy")]
        norms = np.concatenate([np.linalg.norm(each.astype(np.float64), axis=1) for each in values])
        if len(norms) and not np.allclose(norms, 1, atol=1e-2):
            more.append(f"vectors of norm {norms.min():.3g} to {norms.max():.3g} were written")
    elif "vectors/manifest.json" in written_files(place):
        more.append("it failed, but the embeddings folder is marked as complete")
    must_fail = name == "altered" or name in (_MUST_FAIL if form == "onnx" else _FOLDERS_MUST_FAIL)
    yield arena.judged(f"{form}-{name}", ran, codes=(2,) if must_fail else (0, 2), more=more)


def _written(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    return f"onnx:{file}"


def _as_file(place: Path, name: str) -> str:
    model = plain_graph()
    CRAFTED[name](model)
    (place / "w.bin").write_bytes(np.full(4, 0.5, np.float32).tobytes())
    return _written(place / "a.onnx", model.SerializeToString())


def _as_checkpoint(place: Path, name: str, tiny: Path) -> str:
    folder = shutil.copytree(tiny, place / "tiny")
    _spoil(folder / "graph.onnx", name)
    _set_hash(folder / "config.json", folder / "graph.onnx")
    return str(folder)


def _as_export(place: Path, name: str, exported: Path) -> str:
    folder = shutil.copytree(exported, place / "exported")
    _spoil(folder / "model.onnx", name)
    _set_hash(folder / "export.json", folder / "model.onnx")
    return str(folder)


def _altered(place: Path, name: str, exported: Path) -> str:
    """An exported folder in which one byte of a file differs."""
    folder = shutil.copytree(exported, place / "exported")
    data = bytearray((folder / name).read_bytes())
    data[-2] ^= 1
    (folder / name).write_bytes(data)
    return str(folder)


def _spoil(file: Path, name: str) -> None:
    model = onnx.load(file, load_external_data=False)
    CRAFTED[name](model)
    (file.parent / "w.bin").write_bytes(np.full(4, 0.5, np.float32).tobytes())
    file.write_bytes(model.SerializeToString())


def _set_hash(report: Path, file: Path) -> None:
    values = json.loads(report.read_text())
    values["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    report.write_text(json.dumps(values))


def plain_graph() -> onnx.ModelProto:
    """An encoder of 48 features: the mean colors of 16 squares."""
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["pooled"], ["features"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, PX, PX])]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 48])]
    graph = helper.make_graph(nodes, "plain", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _replace_features(model: onnx.ModelProto, *nodes: onnx.NodeProto, **constants: Any) -> None:
    """Append nodes that make `features` of `before`, the features until now."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for at, name in enumerate(names):
                if name == "features":
                    names[at] = "before"
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.extend(nodes)


def _node(kind: str, inputs: str, output: str, **options: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **options)


def _adding(*nodes: onnx.NodeProto, **constants: Any) -> Callable[[onnx.ModelProto], None]:
    """Add the sum of a tensor `large` to the features."""
    total = _node("ReduceSum", "large", "total", keepdims=0)
    added = _node("Add", "before total", "features")
    return lambda model: _replace_features(model, *nodes, total, added, **constants)


def _making(*nodes: onnx.NodeProto, **constants: Any) -> Callable[[onnx.ModelProto], None]:
    return lambda model: _replace_features(model, *nodes, **constants)


def _loop() -> onnx.NodeProto:
    body = helper.make_graph(
        [_node("Identity", "going", "still"), _node("Add", "value value", "next"), _node("Cos", "next", "kept")],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("kept", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["trips", "always", "before"], ["features"], body=body)


def _scan() -> onnx.NodeProto:
    body = helper.make_graph(
        [_node("Cos", "state", "kept")],
        "body",
        [
            helper.make_tensor_value_info("state", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("item", TensorProto.FLOAT, None),
        ],
        [helper.make_tensor_value_info("kept", TensorProto.FLOAT, None)],
    )
    return helper.make_node("Scan", ["before", "large"], ["features"], body=body, num_scan_inputs=1)


def _nested_if(depth: int) -> onnx.NodeProto:
    outputs = [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, None)]
    graph = helper.make_graph([_node("Identity", "before", "chosen")], "leaf", [], outputs)
    for _ in range(depth):
        node = helper.make_node("If", ["always"], ["chosen"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "branch", [], outputs)
    return helper.make_node("If", ["always"], ["features"], then_branch=graph, else_branch=graph)


def _external(location: str, offset: int = 0) -> Callable[[onnx.ModelProto], None]:
    """Add a tensor of four numbers that are stored in another file."""

    def spoil(model: onnx.ModelProto) -> None:
        _adding()(model)
        tensor = model.graph.initializer.add(name="large", data_type=TensorProto.FLOAT, dims=[4])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", "16")):
            tensor.external_data.add(key=key, value=value)

    return spoil


def _claimed(dims: list[int]) -> Callable[[onnx.ModelProto], None]:
    def spoil(model: onnx.ModelProto) -> None:
        _adding()(model)
        model.graph.initializer.add(name="large", data_type=TensorProto.FLOAT, dims=dims)

    return spoil


def _names(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = "\x1b]0;owned\x07" + "a" * 100_000
    _making(_node("NoSuch\x1b[31mOperator", "before", "features"))(model)


_TWO_BILLION = np.array([2_000_000_000])
_UP = os.pardir

CRAFTED: dict[str, Callable[[onnx.ModelProto], None]] = {
    "endless-loop": _making(_loop(), trips=_MAX_INT, always=True),
    "endless-scan": _making(
        _node("ConstantOfShape", "size", "large"), _scan(), size=np.array([200_000_000, 1], np.int64)
    ),
    "nested-branches": _making(_nested_if(8), always=True),
    "constant-of-8-gb": _adding(_node("ConstantOfShape", "size", "large"), size=_TWO_BILLION),
    "expanded-to-8-gb": _adding(_node("Expand", "one size", "large"), one=np.float32([1]), size=_TWO_BILLION),
    "range-of-8-gb": _adding(
        _node("Range", "first last step", "range"),
        _node("Cast", "range", "large", to=TensorProto.FLOAT),
        first=np.int32(0), last=np.int32(2_000_000_000), step=np.int32(1),
    ),
    "noise-of-8-gb": _adding(_node("RandomNormal", "", "large", shape=[2_000_000_000])),
    "padded-to-8-gb": _adding(
        _node("Pad", "one ends", "large"), one=np.float32([1]), ends=np.array([0, 2_000_000_000])
    ),
    "tiled-to-8-gb": _adding(_node("Tile", "one size", "large"), one=np.float32([1]), size=_TWO_BILLION),
    "resized-images": _adding(
        _node("Resize", "images none scales", "large", mode="nearest"),
        none=np.zeros(0, np.float32), scales=np.float32([1, 1, 800, 800]),
    ),
    "slow-products": _adding(
        _node("ConstantOfShape", "size", "square0"),
        *(_node("MatMul", f"square{each} square{each}", f"square{each + 1}") for each in range(40)),
        _node("Identity", "square40", "large"),
        size=np.array([4_000, 4_000]),
    ),
    "claimed-initializer": _claimed([1 << 20, 1 << 20]),
    "negative-initializer": _claimed([-4]),
    "data-outside": _external(f"{_UP}/secret.bin"),
    "data-absolute": _external("/etc/passwd"),
    "data-beside": _external("w.bin"),
    "data-behind-the-end": _external("w.bin", 1 << 40),
    "custom-operator": _making(helper.make_node("Evil", ["before"], ["features"], domain="evil.example")),
    "strange-names": _names,
    "index-out-of-range": _making(_node("Gather", "before index", "features", axis=1), index=np.array([99_999])),
    "too-few-rows": _making(
        _node("Slice", "before first last axis", "features"),
        first=np.array([0]), last=np.array([1]), axis=np.array([0]),
    ),
    "too-many-rows": _making(_node("Concat", "before before", "features", axis=0)),
    "no-rows": _making(
        _node("Slice", "before first last axis", "features"),
        first=np.array([0]), last=np.array([0]), axis=np.array([0]),
    ),
    "not-a-number": _making(
        _node("Sqrt", "negative", "nan"), _node("Add", "before nan", "features"), negative=np.float32(-1)
    ),
    "infinite": _making(_node("Div", "before zero", "features"), zero=np.float32(0)),
    "zero": _making(_node("Mul", "before zero", "features"), zero=np.float32(0)),
    "other-length": _making(
        _node("Slice", "before first last axis", "features"),
        first=np.array([0]), last=np.array([5]), axis=np.array([1]),
    ),
}  # fmt: skip
"""Changes to an encoder by name."""
