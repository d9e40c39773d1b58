"""`mvmr-demo`: opens the page. Heavy modules are imported inside the command, so `--help` is instant."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo._io import explain_errors
from mvmr_zoo.errors import ConfigError, printable

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@explain_errors
def demo(
    place: Annotated[
        Path | None,
        typer.Argument(
            help="A library, or a folder of photos, which is taken into your library. Default: your library if it has "
            "photos, else sample photos."
        ),
    ] = None,
    library: Annotated[
        Path | None,
        typer.Option(
            "--library", "-L", help="Your library. Default: $MVMR_LIBRARY, else ~/.local/share/mvmr_zoo/library."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Encoder of a new library. Default: the library's own.")] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="An encoder to offer under Compare; may be repeated.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at. Any but this machine's own needs --auth.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Default: the first free one from 7860.")] = None,
    auth: Annotated[
        str | None, typer.Option(envvar="MVMR_DEMO_AUTH", help="NAME:PASSWORD that people must give.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="For strangers: paths are not told, and no folder can be named.")
    ] = False,
    mcp: Annotated[bool, typer.Option("--mcp", help="Offer the search as an MCP tool too.")] = False,
) -> None:
    """Open a page on this machine where you search your photos. Ctrl+C ends it."""
    from demo.app import LOCAL_HOSTS, Address, serving
    from demo.opening import open_place

    login = _login(auth)
    if host not in LOCAL_HOSTS and login is None:
        raise ConfigError(f"At {host} everybody in the network could see your photos. Give --auth NAME:PASSWORD too.")
    if mcp and login is not None:
        raise ConfigError("MCP knows no login: everybody could search without one. Give --mcp or --auth, not both.")
    if public and place is not None and not (place / "library.sqlite").exists():
        raise ConfigError(
            f"{place} is not a library, and a public page takes in no folder. Run `mvmr-zoo index add` first."
        )
    opened = open_place(place, library)
    typer.echo("Opening the page …", err=True)
    signal.signal(signal.SIGTERM, _end)
    with serving(
        opened.library,
        Address(host=host, port=port, auth=login, mcp=mcp),
        model=model,
        photos=opened.photos,
        compared=compare or (),
        public=public,
    ) as url:
        try:
            typer.echo(
                f"Open {url} in a browser: it searches the library {printable(str(opened.library))}. Ctrl+C ends it."
            )
            if mcp:
                typer.echo(f"MCP: {url}gradio_api/mcp/")
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("Ended.", err=True)


def _end(*_: object) -> None:
    """As Ctrl+C does it, so that what people sent is deleted."""
    raise KeyboardInterrupt


def _login(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    name, colon, password = auth.partition(":")
    if not (name and colon and password):
        raise ConfigError("--auth is NAME:PASSWORD, both not empty.")
    return name, password


def main() -> None:
    """The console script."""
    app()
