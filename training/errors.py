"""The error of a run that has nothing left to do."""

from __future__ import annotations

from mvmr_zoo.errors import ConfigError


class FinishedError(ConfigError):
    """The run to resume has finished already."""
