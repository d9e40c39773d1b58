"""Build the page from its tabs and serve it."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from demo.guard import Guard, log_error
from demo.uploads import MAX_BYTES, RETENTION_S, SWEEP_INTERVAL_S, uploads_folder
from mvmr_zoo.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import gradio as gr

    from demo.services import Services

PORT = 7_860

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def build(services: Services, uploads: Path) -> gr.Blocks:
    """Build the page.

    Args:
        services: Services of the library.
        uploads: Folder for uploaded photos and for files to download.
    """
    import gradio as gr

    from demo import markup
    from demo.api import add_api
    from demo.catalog import models_table
    from demo.tabs.compare import CompareTab
    from demo.tabs.duplicates import DuplicatesTab
    from demo.tabs.index import IndexTab
    from demo.tabs.map import MapTab
    from demo.tabs.parts import show_errors
    from demo.tabs.search import SearchTab

    searcher, indexing = services.searcher, services.indexing

    def head() -> str:
        count = markup.count_text(searcher.status().photos, "photo")
        return f"<h1>Search your photos</h1><p>{count} · {markup.text(searcher.model.card.name)}</p>"

    page = gr.Blocks(
        title="mvmr-zoo: search your photos",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(SWEEP_INTERVAL_S, RETENTION_S),
    )
    with page:
        title = gr.HTML(elem_id="head")
        with gr.Tabs() as tabs:
            with gr.Tab("Search", id="search") as search_tab:
                search = SearchTab(services)
            if indexing is not None:
                with gr.Tab("Index", id="index") as tab:
                    index = IndexTab(indexing, searcher, str(services.folder or ""))
                tab.select(index.refresh, None, index.outputs, api_visibility="private")
                index.timer.tick(head, None, title, api_visibility="private", show_progress="hidden")
                page.load(index.refresh, None, index.outputs, api_visibility="private")
            with gr.Tab("Map", id="map") as tab:
                photo_map = MapTab(services, tab)
            with gr.Tab("Duplicates", id="duplicates"):
                DuplicatesTab(searcher, uploads)
            with gr.Tab("Compare", id="compare"):
                compare = CompareTab(services)
            with gr.Tab("Models", id="models"):
                models = gr.HTML()
        add_api(searcher)

        def search_from_map(session: Any, state: Any, *settings: Any) -> list[Any]:
            query = searcher.query_from_id(photo_map.chosen_id(state))
            return [gr.Tabs(selected="search"), *search.search_with(session, query, None, *settings)]

        search_event = photo_map.search_button.click(
            show_errors(search_from_map),
            [search.session, photo_map.state, *search.settings],
            [tabs, *search.outputs],
            api_visibility="private",
        )
        search.update_thumbnails_after(search_event)
        for event in (page.load, search_tab.select):
            event(
                lambda session: [head(), *search.load(session)],
                [search.session],
                [title, *search.loads],
                api_visibility="private",
                show_progress="hidden",
            )
        page.load(compare.load, None, compare.loads, api_visibility="private")
        page.load(models_table, None, models, api_visibility="private")
    return page


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Options of the web server.

    Args:
        host: Address to listen on.
        port: Port to listen on; None uses the first free port from `PORT` on.
        auth: User name and password; None for no login.
        mcp: Also serve the API as MCP tools.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    auth: tuple[str, str] | None = None
    mcp: bool = False


@contextmanager
def serving(
    library: Path,
    server: ServerOptions,
    *,
    model: str | None = None,
    photos: Path | None = None,
    compared: Sequence[str] = (),
    public: bool = False,
) -> Iterator[str]:
    """Serve the page until the block ends, and yield its URL. Uploaded photos are deleted at the end.

    Args:
        library: Library folder.
        server: Options of the web server.
        model: Model spec; None uses the model of the library, or the default model for a new library.
        photos: Folder to index in the background.
        compared: Specs of models to offer for comparison, in addition to the local ones.
        public: Hide the paths of photos, and disable indexing.

    Raises:
        ConfigError: The address is not available.
        MissingDependencyError: Gradio is not installed.
        MvmrError: The library or its model cannot be opened.
    """
    with ExitStack() as stack:
        uploads = stack.enter_context(uploads_folder())
        _prepare_gradio(uploads)
        from demo.services import open_services

        services = open_services(library, model=model, uploads=uploads, photos=photos, compared=compared, public=public)
        stack.callback(services.close)
        page = build(services, uploads)
        url = _launch(page, server, services.searcher.thumbnails.folder, uploads)
        stack.callback(page.close, verbose=False)
        yield url


def wait_for_signal() -> NoReturn:
    """Wait until a signal handler raises an exception.

    Handlers run in the main thread. If another thread receives the signal, a main thread that waits without limit never
    runs them.
    """
    while True:
        time.sleep(0.5)


def _prepare_gradio(uploads: Path) -> None:
    """Set the upload folder of Gradio and disable its telemetry. Must run before Gradio is imported."""
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        from gradio import queueing
    except ImportError as error:
        raise MissingDependencyError("gradio", "demo", "open the page") from error
    queueing.traceback = _ErrorLine()  # type: ignore[attr-defined, assignment]


class _ErrorLine:
    """Takes the place of the module `traceback` in Gradio's queue, where any visitor can cause errors."""

    @staticmethod
    def print_exc() -> None:
        """Print the current exception in one line."""
        error = sys.exception()
        if error is not None:
            log_error("An event could not be handled", error)


def _launch(page: gr.Blocks, server: ServerOptions, thumbnails: Path, uploads: Path) -> str:
    """Serve a page in background threads and return its URL."""
    import gradio as gr
    from starlette.middleware import Middleware

    from demo.theme import CSS, theme

    gr.set_static_paths([thumbnails])
    page.queue(default_concurrency_limit=4, max_size=256)
    guard = Middleware(
        Guard,
        local=server.host in LOCAL_HOSTS,
        thumbnails=str(thumbnails),
        uploads=uploads,
        space="SPACE_ID" in os.environ,  # set by the Hugging Face Hub
    )
    try:
        with redirect_stdout(io.StringIO()):  # the command prints the URL itself
            _, url, _ = page.launch(
                server_name=server.host,
                server_port=server.port,
                auth=server.auth,
                mcp_server=server.mcp,
                max_file_size=MAX_BYTES,
                app_kwargs={"middleware": [guard]},
                theme=theme(),
                css=CSS,
                footer_links=["api"],
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                show_error=False,
                ssr_mode=False,
                pwa=False,
                run_history=False,
                enable_monitoring=False,
            )
    except OSError:
        problem = f"Port {server.port} is in use" if server.port else f"The ports from {PORT} on are in use"
        raise ConfigError(
            f"{problem}, or {server.host} is not an address of this machine. Pass another --port or --host."
        ) from None
    return str(url)
