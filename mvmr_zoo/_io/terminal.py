"""Shared parts of the command lines: one-line errors, exit codes, options."""

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
    """Print expected errors in one line, and exit with code 2."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except MvmrError as error:
            typer.echo(f"Error: {printable(str(error))}", err=True)
            raise typer.Exit(CANNOT_RUN) from None
        except BrokenPipeError:
            raise  # the reader closed the pipe, which is not an error of the command
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
    """The command that starts this program: its name if it is on the PATH, else its path."""
    if shutil.which("mvmr-zoo"):
        return "mvmr-zoo"
    return shlex.quote(sys.argv[0]) if not sys.argv[0].endswith(".py") else f"{sys.executable} -m mvmr_zoo.cli"
