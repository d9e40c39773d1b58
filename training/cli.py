"""The command line of pretrain, distill and finetune: typed options, one-line errors, exit codes."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonargparse

from mvmr_zoo._io import check_regular
from mvmr_zoo.errors import MvmrError, describe_os_error
from training.config import DistillConfig, FinetuneConfig, PretrainConfig
from training.config.expected import expected
from training.console import say
from training.errors import FinishedError
from training.option_errors import refusal

_COMMAND_OPTIONS = ("config", "resume", "allow_config_change")

COMMANDS: dict[str, type] = {"pretrain": PretrainConfig, "distill": DistillConfig, "finetune": FinetuneConfig}
"""The options of each command. Its run is the function of the same name in `training.runs`."""


def main(command: str, description: str | None = None, arguments: list[str] | None = None) -> int:
    """Run a command.

    Args:
        command: `pretrain`, `distill` or `finetune`.
        description: Text for `--help`.
        arguments: Command-line arguments. None reads `sys.argv`.

    Returns:
        The exit code: 0 done, 2 could not run, 128 + N stopped by signal N (130 by Ctrl-C, 143 by SIGTERM).
    """
    config = COMMANDS[command]
    words = sys.argv[1:] if arguments is None else arguments
    read = parser(config, description)
    try:
        for path in _config_files(words):
            check_regular(path)
    except OSError as error:
        return _refuse(f"--config cannot be read. {describe_os_error(error)}")
    try:
        made = read.instantiate(read.parse_args(words))
        values = {name: value for name, value in vars(made).items() if name not in _COMMAND_OPTIONS}
        options = config(**values)
        folder = _run(command)(options, resume=made.resume, allow_change=made.allow_config_change)
    except FinishedError as finished:
        say(str(finished))
        return 0
    except (jsonargparse.ArgumentError, UnicodeDecodeError) as error:
        known = [name for action in read._actions for name in action.option_strings]
        return _refuse(refusal(error, words, known, config))
    except MvmrError as error:
        return _refuse(_one_line(error))
    except SystemExit as stopped:
        if type(stopped) is SystemExit:  # of --help and --print_config, not Lightning's SIGTERMException
            raise
        say("Stopped. Run the same command with --resume to continue.", error=True)
        return stopped.code if isinstance(stopped.code, int) else 143
    except KeyboardInterrupt:
        say("Stopped.", error=True)
        return 130
    except OSError as error:
        return _refuse(describe_os_error(error))
    if folder is not None:
        print(f"{folder}\nTry it: mvmr-zoo index add PHOTOS --model {folder}")
    return 0


def _config_files(words: list[str]) -> Iterator[Path]:
    """Existing files and folders that follow `--config`. jsonargparse would wait for a pipe."""
    for word, following in pairwise([*words, ""]):
        option, separator, value = word.partition("=")
        name = value if separator else following
        if option == "--config" and os.path.exists(name):
            yield Path(name)


def _run(command: str) -> Callable[..., Path | None]:
    """The run of a command. PyTorch and Lightning are imported here, so that `--help` and a wrong option are fast."""
    from training import runs

    for library in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    run: Callable[..., Path | None] = getattr(runs, command)
    return run


def parser(config: type, description: str | None) -> jsonargparse.ArgumentParser:
    """The argument parser: every field of the dataclass `config`, `--config FILE`, `--resume`."""
    made = jsonargparse.ArgumentParser(
        description=description,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=_Help,
        usage="%(prog)s [--config FILE] [--section.option VALUE ...] [--resume]",
    )
    made.add_argument("--config", action="config", metavar="FILE", help="YAML file with any of the options below.")
    made.add_argument("--resume", action="store_true", help="Continue from last.ckpt in the same run.output.")
    made.add_argument(
        "--allow_config_change", action="store_true", help="Resume with changed options, and print the changes."
    )
    made.add_class_arguments(config)
    for action in made._actions:
        if isinstance(action.default, tuple) and all(dataclasses.is_dataclass(value) for value in action.default):
            # jsonargparse parses a tuple of dataclasses, but cannot print one
            made.set_defaults({action.dest: [dataclasses.asdict(value) for value in action.default]})
        section = dataclasses.is_dataclass(getattr(action, "basetype", None))
        if section or any(name.endswith(".help") for name in action.option_strings):
            action.help = argparse.SUPPRESS
    return made


class _Help(jsonargparse.DefaultHelpFormatter):
    """Describes types in words."""

    def _get_type_str(self, action: argparse.Action) -> str | None:
        hint: Any = getattr(action, "_typehint", None) or action.type
        return None if hint is None else expected(hint)


def _one_line(error: MvmrError) -> str:
    """The message on one line. For an error in a worker process, this is the end of its traceback."""
    original = re.search(r"\nmvmr_zoo\.errors\.\w+: (.*)", str(error), re.DOTALL)
    return " ".join((original.group(1) if original else str(error)).split())


def _refuse(reason: str) -> int:
    print(f"Error: {reason}", file=sys.stderr)
    return 2
