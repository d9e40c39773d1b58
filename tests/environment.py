"""The environment of a person whose machine has none of our settings."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """This process's variables, but for those of the Hub and of mvmr-zoo, with a home of its own.

    Args:
        home: folder that stands for the person's home.
        **more: variables to set.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MVMR_"))}
    return kept | {"HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)} | more
