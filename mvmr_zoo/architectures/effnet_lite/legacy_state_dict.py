"""State dicts in PyTorch's format before 1.6, read without PyTorch and without executing anything.

Such a file holds five pickles (a magic number, a protocol version, facts about the system, the state dict, the keys of
its storages) and then the bytes of each storage (torch/serialization.py, `_legacy_save`). The pickles are read by an
interpreter of the few instructions that a state dict needs. It builds tensors, storages, dictionaries, lists, tuples,
text, integers, booleans and None. Every other instruction or name is refused.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mvmr_zoo._io import read_regular
from mvmr_zoo.errors import CheckpointError, one_line

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_TENSOR = "torch._utils _rebuild_tensor_v2"
_DICTIONARY = "collections OrderedDict"
_DTYPES: dict[str, np.dtype[Any]] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch LongStorage": np.dtype("<i8"),
    "torch IntStorage": np.dtype("<i4"),
}
_NAMES = frozenset({_TENSOR, _DICTIONARY, *_DTYPES})

_CONSTANTS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "NONE", "NEWTRUE", "NEWFALSE"})
_EMPTY: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}

_AGAIN = "Reinstall the package that contains it."


class _Refused(ValueError):
    """Something that a state dict does not need."""


@dataclass(frozen=True)
class _Name:
    """A class or function that a pickle names. It is never looked up."""

    name: str


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


_MARK = _Name("mark")


def read_legacy_state_dict(path: Path, content: bytes | None = None) -> dict[str, NDArray[np.generic]]:
    """Every tensor of a state dict by name.

    Args:
        path: The file.
        content: Bytes of the file, if they were read before.

    Raises:
        CheckpointError: The file cannot be read, is cut short, is not in this format, or its pickle has an
            instruction or a name that a state dict does not need. Nothing in it is executed.
    """
    try:
        file = BytesIO(read_regular(path) if content is None else content)
        return _state_dict(file)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}). {_AGAIN}") from None
    except _Refused as error:
        raise CheckpointError(f"{path} was rejected because {error} No code in it was executed. {_AGAIN}") from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # what reading arbitrary bytes as instructions raises
        raise CheckpointError(
            f"{path} is truncated or is not a PyTorch state dict ({one_line(error)}). {_AGAIN}"
        ) from None


def _state_dict(file: BytesIO) -> dict[str, NDArray[np.generic]]:
    if _load(file) != MAGIC or _load(file) != PROTOCOL:
        raise ValueError("the file does not start with a PyTorch header")
    _load(file)  # byte order and integer sizes of the writer, always the same in practice
    state, keys = _load(file), _load(file)
    if not state or not isinstance(state, dict) or not all(isinstance(each, _Tensor) for each in state.values()):
        raise ValueError("it does not contain a dictionary of tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise ValueError("the stored data does not match the tensors")
    values = {key: _values(file, storages[key]) for key in keys}
    if file.read(1):
        raise ValueError("there is extra data after the last tensor")
    return {str(name): _array(str(name), tensor, values[tensor.storage.key]) for name, tensor in state.items()}


def _values(file: BytesIO, storage: _Storage) -> NDArray[np.generic]:
    count = int.from_bytes(file.read(8), "little", signed=True)
    if count != storage.size or count < 0:
        raise ValueError(f"storage {storage.key} contains {count} values; expected {storage.size}")
    content = file.read(count * storage.dtype.itemsize)
    return np.frombuffer(content, storage.dtype, count)  # raises ValueError if there are fewer bytes


def _array(name: str, tensor: _Tensor, values: NDArray[np.generic]) -> NDArray[np.generic]:
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    empty = 0 in tensor.shape
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if any(type(each) is not int or each < 0 for each in numbers) or (last >= len(values) and not empty):
        raise ValueError(f"tensor {name} extends beyond its stored values")
    if np.prod(tensor.shape, dtype=object) > max(1, len(values)):
        raise ValueError(f"tensor {name} uses the same stored values more than once")
    strides = [each * values.itemsize for each in tensor.strides]
    part = values[tensor.offset :]
    found = np.array(np.lib.stride_tricks.as_strided(part, tensor.shape, strides, writeable=False))
    if not np.isfinite(found).all():
        raise ValueError(f"tensor {name} contains NaN or infinite values")
    return found


def _load(file: BytesIO) -> Any:
    """The value of one pickle."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name in _CONSTANTS:
            stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}.get(name, argument))
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "TUPLE":
            stack.append(tuple(_above_mark(stack)))
        elif name in _TUPLES:
            parts = [stack.pop() for _ in range(_TUPLES[name])]
            stack.append(tuple(parts[::-1]))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_named(str(argument)))
        elif name == "REDUCE":
            arguments, called = stack.pop(), stack.pop()
            stack.append(_called(called, arguments))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name in ("SETITEM", "SETITEMS"):
            items = _above_mark(stack) if name == "SETITEMS" else [stack.pop() for _ in range(2)][::-1]
            _dictionary(stack).update(zip(items[::2], items[1::2], strict=True))
        elif name in ("APPEND", "APPENDS"):
            _list(stack, _above_mark(stack) if name == "APPENDS" else [stack.pop()])
        elif name == "BUILD":
            stack.pop()  # attributes of the state dict: version numbers of its modules
            _dictionary(stack)
        elif name == "STOP":
            (value,) = stack
            return value
        elif name != "PROTO":
            raise _Refused(f"its pickle contains the instruction {name}, which no state dict needs.")
    raise ValueError("the pickle is incomplete")


def _above_mark(stack: list[Any]) -> list[Any]:
    """Take everything above the last mark, and the mark, from the stack."""
    above: list[Any] = []
    while (top := stack.pop()) is not _MARK:  # IndexError without a mark
        above.append(top)
    return above[::-1]


def _dictionary(stack: list[Any]) -> dict[Any, Any]:
    """The dictionary on top of the stack."""
    if not isinstance(stack[-1], dict):
        raise _Refused("its pickle changes something that is not a dictionary.")
    return stack[-1]


def _list(stack: list[Any], items: list[Any]) -> None:
    """Append items to the list on top of the stack."""
    if not isinstance(stack[-1], list):
        raise _Refused("its pickle appends to something that is not a list.")
    stack[-1].extend(items)


def _named(argument: str) -> _Name:
    if argument not in _NAMES:
        raise _Refused(f"its pickle refers to {argument.replace(' ', '.')}, which is not a tensor and may run code.")
    return _Name(argument)


def _called(called: Any, arguments: Any) -> Any:
    if called == _Name(_DICTIONARY) and arguments == ():
        return {}
    if called == _Name(_TENSOR) and isinstance(arguments, tuple) and isinstance(arguments[0], _Storage):
        storage, offset, shape, strides = arguments[:4]
        return _Tensor(storage, offset, tuple(shape), tuple(strides))
    raise _Refused("its pickle calls something other than a constructor of tensors and dictionaries.")


def _storage(identity: Any) -> _Storage:
    kind, of, key, _, size = identity[:5]
    if kind != "storage" or not isinstance(of, _Name) or of.name not in _DTYPES or type(size) is not int:
        raise _Refused("its pickle refers to something other than stored numbers.")
    return _Storage(str(key), _DTYPES[of.name], int(size))
