"""`mvmr-demo`: serves the page. Heavy modules are imported inside the command so that `--help` is fast."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from mvmr_zoo._io import explain_errors
from mvmr_zoo.errors import ConfigError, printable

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
@explain_errors
def demo(
    place: Annotated[
        Path | None,
        typer.Argument(
            help="Library to open, or a folder of photos to index into your library. Default: your library, or the "
            "sample photos if it has no photos."
        ),
    ] = None,
    library: Annotated[
        Path | None,
        typer.Option(
            "--library",
            "-L",
            help="Library folder. Default: $MVMR_LIBRARY, or ~/.local/share/mvmr_zoo/library if it is not set.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Model to use. Default: the library's model, or the default model for a new library."),
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Model to offer on the Compare tab. Can be repeated.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Addresses other than localhost need --auth.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port to listen on. Default: the first free port from 7860 up."),
    ] = None,
    auth: Annotated[
        str | None, typer.Option(envvar="MVMR_DEMO_AUTH", help="Require a login with this NAME:PASSWORD.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="Public mode: hide the paths of photos and disable indexing.")
    ] = False,
    mcp: Annotated[bool, typer.Option("--mcp", help="Also serve the API as MCP tools.")] = False,
) -> None:
    """Serve a web page for searching your photos. Press Ctrl+C to stop."""
    from demo.app import LOCAL_HOSTS, ServerOptions, serving, wait_for_signal
    from demo.opening import resolve_library

    login = _login(auth)
    if host not in LOCAL_HOSTS and login is None:
        raise ConfigError(f"Anyone on the network could see your photos at {host}. Add --auth NAME:PASSWORD.")
    if mcp and login is not None:
        raise ConfigError("The MCP endpoint does not support a login. Pass either --mcp or --auth.")
    if public and place is not None and not (place / "library.sqlite").exists():
        raise ConfigError(
            f"{place} is not a library, and a public page cannot index folders. Run `mvmr-zoo index add` first."
        )
    opened = resolve_library(place, library)
    typer.echo("Starting the page …", err=True)
    signal.signal(signal.SIGTERM, _interrupt)
    with serving(
        opened.library,
        ServerOptions(host=host, port=port, auth=login, mcp=mcp),
        model=model,
        photos=opened.photos,
        compared=compare or (),
        public=public,
    ) as url:
        try:
            typer.echo(f"Open {url} in a browser to search {printable(str(opened.library))}. Press Ctrl+C to stop.")
            if mcp:
                typer.echo(f"MCP: {url}gradio_api/mcp/")
            wait_for_signal()
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)


def _interrupt(*_: object) -> None:
    """Handle SIGTERM like Ctrl+C, so that uploaded photos are deleted."""
    raise KeyboardInterrupt


def _login(auth: str | None) -> tuple[str, str] | None:
    if auth is None:
        return None
    name, colon, password = auth.partition(":")
    if not (name and colon and password):
        raise ConfigError("--auth needs the form NAME:PASSWORD, and neither part may be empty.")
    return name, password


def main() -> None:
    """Run the console script."""
    app()
