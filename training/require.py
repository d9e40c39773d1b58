"""The check behind every option."""

from __future__ import annotations

from mvmr_zoo.errors import ConfigError


def require(holds: bool, option: str, got: object, expected: str) -> None:
    """Raise ConfigError, naming the option, unless a condition on its value holds."""
    if not holds:
        raise ConfigError(f"{option} is {got}; expected {expected}.")
