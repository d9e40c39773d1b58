"""The command line of pretrain, distill and finetune: typed options, one-line errors, exit codes."""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonargparse
from pytorch_lightning.utilities.exceptions import SIGTERMException

from mvmr_zoo.errors import MvmrError, closest, describe_os_error
from training.checkpointing import FILE
from training.config import DistillConfig, FinetuneConfig, PretrainConfig
from training.runs import distill, finetune, pretrain
from training.trainer import FinishedError

_OWN = ("config", "resume", "allow_config_change")
_TERMINATED = 143  # 128 + SIGTERM, as in shells

COMMANDS: dict[str, tuple[type, Callable[..., Path | None]]] = {
    "pretrain": (PretrainConfig, pretrain),
    "distill": (DistillConfig, distill),
    "finetune": (FinetuneConfig, finetune),
}
"""The options and the run of each command."""


def main(command: str, description: str | None = None, arguments: list[str] | None = None) -> int:
    """Run a command. Returns its exit code: 0 done, 2 could not run, 143 stopped by SIGTERM.

    Args:
        command: `pretrain`, `distill` or `finetune`.
        description: For `--help`.
        arguments: Of the command line; None takes the process's own.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    config, run = COMMANDS[command]
    read = parser(config, description)
    try:
        made = read.instantiate(read.parse_args(arguments))
        values = {name: value for name, value in vars(made).items() if name not in _OWN}
        folder = run(config(**values), resume=made.resume, allow_change=made.allow_config_change)
    except FinishedError as finished:
        print(finished)
        return 0
    except (MvmrError, jsonargparse.ArgumentError) as error:
        print(f"Error: {_explain(error, read)}", file=sys.stderr)
        return 2
    except SIGTERMException:
        print("Stopped by SIGTERM. Run it again with --resume to continue.", file=sys.stderr)
        return _TERMINATED
    except OSError as error:
        print(f"Error: {describe_os_error(error)}", file=sys.stderr)
        return 2
    if folder is not None:
        print(f"{folder}\nTry it: mvmr-zoo index add PHOTOS --model {folder}")
    return 0


def parser(config: type, description: str | None) -> jsonargparse.ArgumentParser:
    """The command line: every field of the dataclass `config`, `--config FILE`, `--resume`."""
    made = jsonargparse.ArgumentParser(description=description, exit_on_error=False)
    made.add_argument("--config", action="config", help="YAML file with any of the options below")
    made.add_argument("--resume", action="store_true", help=f"continue from {FILE} in the same output folder")
    made.add_argument("--allow_config_change", action="store_true", help="resume although options changed; lists them")
    made.add_class_arguments(config)
    for action in made._actions:  # a tuple of dataclasses can be read, but not printed
        if isinstance(action.default, tuple) and all(dataclasses.is_dataclass(value) for value in action.default):
            made.set_defaults({action.dest: [dataclasses.asdict(value) for value in action.default]})
    return made


def _explain(error: Exception, read: Any) -> str:
    """One line, with the closest option where an unknown one was given."""
    original = re.search(r"\nmvmr_zoo\.errors\.\w+: (.*)", str(error), re.DOTALL)  # the end of a worker's traceback
    text = " ".join((original.group(1) if original else str(error)).split())
    unknown = re.search(r"does not accept option '([\w.]+)'|unrecognized arguments: --([\w.]+)", text)
    if not unknown:
        return text
    given = unknown.group(1) or unknown.group(2)
    options = [name.removeprefix("--") for action in read._actions for name in action.option_strings]
    near = closest(given.split(".")[-1], [o.split(".")[-1] for o in options])
    return f"{text}. Closest option: {near[0]}." if near else text
