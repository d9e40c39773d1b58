"""The exceptions of this package. Messages state the value, what was expected and what to do next.

MvmrError
├── UnknownModelError          no checkpoint has this name
├── MissingDependencyError     an optional library is not installed (also an ImportError)
├── CheckpointError            a checkpoint or weights file is invalid: which file, which field
├── HubError                   the Hugging Face Hub is unreachable or refuses a request
├── ConfigError                an option or a configuration file is wrong
├── DataError                  a data set or a folder of photos cannot be used
├── ImageError                 one photo cannot be read: `.path`, `.stage`, `.reason`
├── LibraryError               the photo library cannot be used
│   ├── LibraryMismatchError   it was made by another model
│   ├── LibraryBusyError       another command is changing it
│   └── LibraryDamagedError    its database cannot be read
├── TrainingError              a training run cannot continue
└── LimitError                 an export loses more than its limits allow
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

Stage = Literal["open", "decode", "preprocess", "embed"]


class MvmrError(Exception):
    """Base class of all exceptions of this package."""


class UnknownModelError(MvmrError):
    """No checkpoint has this name."""


class MissingDependencyError(MvmrError, ImportError):
    """An optional library is not installed, or cannot be imported.

    Args:
        library: Name of the library.
        extra: The extra of `mvmr-zoo` that installs it.
        purpose: What it is required for, as the end of "... is required to".
    """

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{library} is required to {purpose} but is not installed. Run `pip install 'mvmr-zoo[{extra}]'`."
        )
        self._need = f"{library} is required to {purpose}"

    def __str__(self) -> str:
        """The message, which names the cause if the library is installed."""
        cause = self.__cause__
        if not isinstance(cause, ImportError) or isinstance(cause, ModuleNotFoundError):
            return super().__str__()
        return f"{self._need} but cannot be imported: {one_line(cause)}. Install it again."


class CheckpointError(MvmrError):
    """A checkpoint or weights file is invalid. The message names the file and the field."""


class HubError(MvmrError):
    """The Hugging Face Hub is unreachable or refuses a request."""


class ConfigError(MvmrError):
    """An option or a configuration file is wrong."""


class DataError(MvmrError):
    """A data set or a folder of photos cannot be used."""


class ImageError(MvmrError):
    """One photo cannot be read.

    Args:
        path: The photo, as the caller named it.
        stage: The step that failed.
        reason: The cause, in a few words.
    """

    def __init__(self, path: str, stage: Stage, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.stage: Stage = stage
        self.reason = reason


class LibraryError(MvmrError):
    """The photo library cannot be used."""


class LibraryMismatchError(LibraryError):
    """The library was made by another model."""


class LibraryBusyError(LibraryError):
    """Another command is changing the library."""


class LibraryDamagedError(LibraryError):
    """The library's database cannot be read."""


class TrainingError(MvmrError):
    """A training run cannot continue."""


class LimitError(MvmrError):
    """An export loses more than its limits allow."""


def require(holds: bool, option: str, got: object, expected: str) -> None:
    """Raise ConfigError for an option unless `holds`. The message states its value and what was expected."""
    if not holds:
        raise ConfigError(f"{option} is {got}; expected {expected}.")


def describe_os_error(error: OSError) -> str:
    """One line with the file and the message of the operating system."""
    return f"{error.filename or 'unknown file'}: {error.strerror or error}."


_LEAST_SIMILARITY = 0.4
_FEWEST_LETTERS = 3


def closest(name: str, names: Iterable[str]) -> list[str]:
    """At most three of `names` that are similar to `name`, the closest first.

    Case and punctuation are ignored, and so is KIND of a name KIND:NAME unless `name` has it too. Names that begin
    with `name` come before all others.
    """
    wanted = _letters(name)
    matches = []
    for other in dict.fromkeys(names):
        parts = {_letters(other), _letters(other.rpartition(":")[2])}
        similarity = max(difflib.SequenceMatcher(None, part, wanted).ratio() for part in parts)
        begins = len(wanted) >= _FEWEST_LETTERS and any(part.startswith(wanted) for part in parts)
        if begins or similarity >= _LEAST_SIMILARITY:
            matches.append((not begins, -similarity, other))
    return [other for _, _, other in sorted(matches)[:3]]


def hint(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: ` Closest: A, B.`, or nothing if no name is similar."""
    near = closest(name, names)
    return f" Closest: {', '.join(near)}." if near else ""


def _letters(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def one_line(error: object, limit: int = 200) -> str:
    """The message of an error in one line of at most `limit` characters, or its type if the message is empty."""
    return " ".join(str(error).split())[:limit] or type(error).__name__


def printable(text: str) -> str:
    """Escape line breaks, invalid UTF-8 and other unprintable characters."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    """The Python escape of a character, or a hexadecimal escape of an undecodable byte of a file name."""
    byte = ord(char) - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else repr(char)[1:-1]
