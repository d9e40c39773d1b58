from __future__ import annotations

import asyncio
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

from mvmr_zoo import PhotoLibrary

from .conftest import TAKEN, Server, running


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    return Client(server.address, verbose=False)


def test_endpoint_and_parameter_names(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    options = ["k", "min_percentile", "taken_from", "taken_to"]
    assert {name: [each["parameter_name"] for each in info["parameters"]] for name, info in endpoints.items()} == {
        "/search": ["photo", *options],
        "/search_by_id": ["id", *options],
        "/status": [],
    }
    required = [
        each["parameter_name"] for each in endpoints["/search"]["parameters"] if not each["parameter_has_default"]
    ]
    assert required == ["photo"]
    examples = {each["parameter_name"]: each["example_input"] for each in endpoints["/search"]["parameters"]}
    assert examples.pop("photo")["path"] == "photo.jpg"
    assert examples == {"k": 10, "min_percentile": 90, "taken_from": "2024-05", "taken_to": "2024"}


def test_search_matches_the_library(client: Client, server: Server) -> None:
    query = server.album.queries / "coffee--4.jpg"
    hits = client.predict(photo=handle_file(query), k=5, api_name="/search")
    with PhotoLibrary(server.album.library) as library:
        known = library.search(query, 5)
    assert [hit["id"] for hit in hits] == [hit.id for hit in known]
    assert [hit["score"] for hit in hits] == pytest.approx([hit.score for hit in known], abs=2e-3)
    assert set(hits[0]) == {"id", "name", "place", "score", "percentile", "taken", "width", "height", "bytes"}
    assert Path(hits[0]["place"]).name == hits[0]["name"]


def test_search_by_id(client: Client) -> None:
    hits = client.predict(id=1, k=3, api_name="/search_by_id")
    assert len(hits) == 3
    assert 1 not in [hit["id"] for hit in hits]


def test_filters(client: Client) -> None:
    dated = client.predict(id=5, k=50, taken_from="2024-05", taken_to="2024-05", api_name="/search_by_id")
    assert [(hit["name"], hit["taken"]) for hit in dated] == [("abroad.jpg", TAKEN.replace(":", "-", 2))]
    assert client.predict(id=1, taken_from="2025", api_name="/search_by_id") == []
    some = client.predict(id=1, k=200, min_percentile=90, api_name="/search_by_id")
    assert 0 < len(some) < 80
    assert min(hit["percentile"] for hit in some) >= 90


def test_status(client: Client, server: Server) -> None:
    status = client.predict(api_name="/status")
    with PhotoLibrary(server.album.library) as library:
        photos = library.status().photos
    assert status == {
        "photos": photos, "missing": 0, "failures": 0, "model": "effnet-lite1-whitened", "output": "aligned",
        "dimension": 512,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": 0}, "no photo with the id 0"),
        ({"id": 10**30}, "no photo with the id"),
        ({"id": 1, "k": 0}, "less than minimum value 1"),
        ({"id": 1, "k": 201}, "greater than maximum value 200"),
        ({"id": 1, "min_percentile": 101}, "greater than maximum value 100"),
        ({"id": 1, "taken_from": "yesterday"}, "expected a date as YYYY-MM-DD"),
    ],
)
def test_invalid_values_are_rejected(client: Client, values: dict[str, object], message: str) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(**values, api_name="/search_by_id")


def test_invalid_photo_gives_a_short_message(client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no photo")
    with pytest.raises(AppError, match=r"^notes\.jpg: not an image in a known format$"):
        client.predict(photo=handle_file(tmp_path / "notes.jpg"), api_name="/search")


def test_concurrent_searches(server: Server) -> None:
    queries = sorted(server.album.queries.iterdir())

    def search(number: int) -> list[str]:
        client = Client(server.address, verbose=False)
        query = queries[number % len(queries)]
        hits = [client.predict(photo=handle_file(query), k=1, api_name="/search") for _ in range(4)]
        return [hit[0]["name"].split("--")[0] for hit in hits] + [query.name.split("--")[0]]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(search, range(8)))
    assert all(len(set(names[:-1])) == 1 for names in found)
    assert sum(names[0] == names[-1] for names in found) >= 6


def test_endpoints_are_mcp_tools(server: Server, tmp_path: Path) -> None:
    query = server.album.queries / "coffee--4.jpg"
    with running(tmp_path, server.album.library, "--mcp") as (address, _):
        sent = httpx.post(f"{address}gradio_api/upload", files={"files": ("a.jpg", query.read_bytes())}).json()[0]
        tools, by_id, *by_photo, elsewhere, secret = asyncio.run(
            _call_mcp_tools(
                f"{address}gradio_api/mcp/",
                f"data:image/jpeg;base64,{base64.b64encode(query.read_bytes()).decode()}",
                f"{address}gradio_api/file={sent}",
                "https://example.invalid/a.jpg",
                f"{address}gradio_api/file=/etc/passwd",
            )
        )
    assert sorted(tools.split()) == ["search", "search_by_id", "status"]
    assert by_id.count("'score'") == 2
    for result in by_photo:
        assert result.count("'name': 'coffee--") == 2
    assert elsewhere == secret == "Paths and URLs are not accepted. Upload the photo itself."


async def _call_mcp_tools(address: str, *photos: str) -> list[str]:
    """Return the names of the tools, and the results for an id and for each photo."""
    async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
        await session.initialize()
        names = " ".join(tool.name for tool in (await session.list_tools()).tools)
        calls = [("search_by_id", {"id": 1, "k": 2}), *(("search", {"photo": photo, "k": 2}) for photo in photos)]
        return [names, *[(await session.call_tool(name, values)).content[0].text for name, values in calls]]


def test_login_protects_all_requests(server: Server, tmp_path: Path) -> None:
    with running(tmp_path, server.album.library, "--auth", "ann:secret") as (address, _):
        thumbnail = next((server.album.library / "thumbnails").glob("*-320.jpg"))
        for path in (f"gradio_api/file={thumbnail}", "gradio_api/info", "config"):
            assert httpx.get(address + path).status_code == 401
        with pytest.raises(ValueError, match="credentials were not provided"):
            Client(address, verbose=False)
        client = Client(address, auth=("ann", "secret"), verbose=False)
        assert client.predict(api_name="/status")["photos"] > 80


def test_uploads_are_deleted_when_the_page_stops(server: Server, tmp_path: Path) -> None:
    with running(tmp_path, server.album.library) as (address, process):
        client = Client(address, verbose=False)
        client.predict(photo=handle_file(server.album.queries / "coffee--4.jpg"), api_name="/search")
        kept = list(tmp_path.glob("mvmr-zoo-scratch-*/uploads/*/coffee--4.jpg"))
        assert len(kept) == 1
        process.terminate()
        process.wait(timeout=60)
    deadline = time.monotonic() + 60
    while list(tmp_path.glob("mvmr-zoo-scratch-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
