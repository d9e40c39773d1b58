"""What command lines share: errors in one line, exit codes, options, text that any terminal prints."""

from __future__ import annotations

import functools
import shlex
import shutil
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from mvmr_zoo.errors import MvmrError, describe_os_error, printable

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

CANNOT_RUN = 2
SOME_FAILED = 1

_P = ParamSpec("_P")


def explain_errors(command: Callable[_P, None]) -> Callable[_P, None]:
    """Turn a user's mistake into one line and exit code 2."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MvmrError as error:
            typer.echo(f"Error: {printable(str(error))}", err=True)
            raise typer.Exit(CANNOT_RUN) from None
        except BrokenPipeError:
            raise  # the reader of our output has left: not an error to explain
        except OSError as error:
            typer.echo(f"Error: {printable(describe_os_error(error))}", err=True)
            raise typer.Exit(CANNOT_RUN) from None
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(130) from None

    return wrapped


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `1 photo`, `2,664 photos`.

    Args:
        count: The number.
        noun: The noun in the singular. A phrase ends in its noun, for example `missing photo`.
        plural: The plural. Default: `noun` with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def own_name() -> str:
    """What to type to call this program again: its name where the shell finds it, else its path."""
    if shutil.which("mvmr-zoo"):
        return "mvmr-zoo"
    return shlex.quote(sys.argv[0]) if not sys.argv[0].endswith(".py") else f"{sys.executable} -m mvmr_zoo.cli"
