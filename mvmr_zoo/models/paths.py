"""Paths on this machine: the zoo, which has one checkpoint folder per model, and the photo library."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mvmr_zoo.checkpoint import CONFIG_FILE
from mvmr_zoo.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def zoo_home() -> Path:
    """The folder of imported models: `$MVMR_ZOO_HOME`, or `~/.cache/mvmr_zoo` if it is not set."""
    return Path(os.environ.get("MVMR_ZOO_HOME") or "~/.cache/mvmr_zoo").expanduser()


def default_library_path() -> Path:
    """The default photo library: `$MVMR_LIBRARY`, or `~/.local/share/mvmr_zoo/library` if it is not set."""
    path = os.environ.get("MVMR_LIBRARY")
    return Path(path) if path else Path.home() / ".local/share/mvmr_zoo/library"


def zoo_folder(name: str) -> Path:
    """The folder of a model in the zoo. The folder need not exist.

    Args:
        name: Name of the model.

    Raises:
        ConfigError: The name is not valid.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is not a valid model name. Use at most 96 letters, digits, '.', '_' or '-', and begin with a "
            "letter or digit."
        )
    return zoo_home() / name


def zoo_names() -> list[str]:
    """The names of the models in the zoo, sorted."""
    home = zoo_home()
    folders = home.iterdir() if home.is_dir() else ()
    return sorted(path.name for path in folders if _NAME.fullmatch(path.name) and (path / CONFIG_FILE).is_file())
