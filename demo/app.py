"""The page: built from its tabs, and launched."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from demo.uploads import KEPT_S, MAX_BYTES, SWEPT_EVERY_S, uploads_folder
from mvmr_zoo.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import gradio as gr

    from demo.services import Services

PORT = 7_860

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def build(services: Services, uploads: Path) -> gr.Blocks:
    """The page.

    Args:
        services: what it does.
        uploads: folder for what people send, and for lists to download.
    """
    import gradio as gr

    from demo import markup
    from demo.api import add_api
    from demo.tabs.compare import CompareTab
    from demo.tabs.duplicates import DuplicatesTab
    from demo.tabs.index import IndexTab
    from demo.tabs.map import MapTab
    from demo.tabs.models import models_page
    from demo.tabs.parts import explained
    from demo.tabs.search import SearchTab

    searcher, indexing = services.searcher, services.indexing

    def head() -> str:
        count = markup.counted(searcher.status().photos, "photo")
        return f"<h1>Search your photos</h1><p>{count} · {markup.text(searcher.model.card.name)}</p>"

    page = gr.Blocks(
        title="mvmr-zoo: search your photos",
        analytics_enabled=False,
        fill_width=True,
        delete_cache=(SWEPT_EVERY_S, KEPT_S),
    )
    with page:
        title = gr.HTML(elem_id="head")
        with gr.Tabs() as tabs:
            with gr.Tab("Search", id="search") as search_tab:
                search = SearchTab(services)
            if indexing is not None:
                with gr.Tab("Index", id="index") as tab:
                    index = IndexTab(indexing, searcher, str(services.folder or ""))
                tab.select(index.look, None, index.outputs, api_visibility="private")
                index.timer.tick(head, None, title, api_visibility="private", show_progress="hidden")
                page.load(index.look, None, index.outputs, api_visibility="private")
            with gr.Tab("Map", id="map") as tab:
                photo_map = MapTab(services, tab)
            with gr.Tab("Duplicates", id="duplicates"):
                DuplicatesTab(searcher, uploads)
            with gr.Tab("Compare", id="compare"):
                compare = CompareTab(services)
            with gr.Tab("Models", id="models"):
                models = gr.HTML()
        add_api(searcher)

        def search_from_map(session: Any, looking: Any, *settings: Any) -> list[Any]:
            asked = searcher.ask_id(photo_map.chosen_id(looking))
            return [gr.Tabs(selected="search"), *search.begin(session, asked, *settings)]

        searched = photo_map.search_with_it.click(
            explained(search_from_map),
            [search.session, photo_map.looking, *search.settings],
            [tabs, *search.outputs],
            api_visibility="private",
        )
        search.complete(searched)
        for event in (page.load, search_tab.select):
            event(
                lambda session: [head(), *search.load(session)],
                [search.session],
                [title, *search.loads],
                api_visibility="private",
                show_progress="hidden",
            )
        page.load(compare.load, None, compare.loads, api_visibility="private")
        page.load(models_page, None, models, api_visibility="private")
    return page


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the page listens, and to whom.

    Args:
        host: address to listen at.
        port: None is the first free one from `PORT` on.
        auth: name and password that people must give.
        mcp: offer the search as MCP tools too.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    auth: tuple[str, str] | None = None
    mcp: bool = False


@contextmanager
def serving(
    library: Path,
    address: Address,
    *,
    model: str | None = None,
    photos: Path | None = None,
    compared: Sequence[str] = (),
    public: bool = False,
) -> Iterator[str]:
    """The page, up until the block ends; gives its URL. What people sent is deleted at the end.

    Args:
        library: folder of the library.
        address: where to listen.
        model: spec of the encoder; None is the library's own, or `catalog.DEFAULT_MODEL` for a new library.
        photos: folder to take in meanwhile.
        compared: specs of encoders that may be compared besides those of this machine.
        public: for strangers: nobody is told where photos lie, and no folder can be named.

    Raises:
        ConfigError: the address cannot be had.
        MissingDependencyError: Gradio is not installed.
        MvmrError: the library or its encoder cannot be opened.
    """
    with ExitStack() as ends:
        uploads = ends.enter_context(uploads_folder())
        _prepare_gradio(uploads)
        from demo.services import open_services

        services = open_services(library, model=model, uploads=uploads, photos=photos, compared=compared, public=public)
        ends.callback(services.close)
        page = build(services, uploads)
        url = _launch(page, address, services.searcher.thumbnails.folder)
        ends.callback(page.close, verbose=False)
        yield url


def _prepare_gradio(uploads: Path) -> None:
    """Before it is first imported: its files go into our folder, and it sends no word to anybody."""
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise MissingDependencyError("gradio", "demo", "open the page") from None


def _launch(page: gr.Blocks, address: Address, thumbnails: Path) -> str:
    """Serve a page from threads of its own; its URL."""
    import gradio as gr
    from starlette.middleware import Middleware

    from demo.guard import Guard
    from demo.theme import CSS, theme

    gr.set_static_paths([thumbnails])
    page.queue(default_concurrency_limit=4, max_size=256)
    guard = Middleware(Guard, local=address.host in LOCAL_HOSTS, thumbnails=str(thumbnails))
    try:
        with redirect_stdout(io.StringIO()):  # the command tells the addresses itself
            _, url, _ = page.launch(
                server_name=address.host,
                server_port=address.port,
                auth=address.auth,
                mcp_server=address.mcp,
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
        taken = f"Port {address.port} is taken" if address.port else f"The ports from {PORT} on are taken"
        raise ConfigError(
            f"{taken}, or {address.host} is no address of this machine. Give another --port or --host."
        ) from None
    return str(url)
