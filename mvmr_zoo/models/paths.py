"""Where things lie on this machine: the zoo, `$MVMR_ZOO_HOME`, one checkpoint folder a name; the photo library."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mvmr_zoo.checkpoint import CONFIG_FILE
from mvmr_zoo.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def zoo_home() -> Path:
    """Where imported models lie."""
    return Path(os.environ.get("MVMR_ZOO_HOME") or "~/.cache/mvmr_zoo").expanduser()


def default_library_path() -> Path:
    """`$MVMR_LIBRARY`, else `~/.local/share/mvmr_zoo/library`."""
    named = os.environ.get("MVMR_LIBRARY")
    return Path(named) if named else Path.home() / ".local/share/mvmr_zoo/library"


def zoo_folder(name: str) -> Path:
    """The folder of one name, whether it is there or not.

    Raises:
        ConfigError: no model may have this name.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a model; expected at most 96 letters, digits, '.', '_' or '-', the first a letter "
            "or digit."
        )
    return zoo_home() / name


def zoo_names() -> list[str]:
    """Every name that has a folder here, sorted."""
    home = zoo_home()
    folders = home.iterdir() if home.is_dir() else ()
    return sorted(each.name for each in folders if _NAME.fullmatch(each.name) and (each / CONFIG_FILE).is_file())
