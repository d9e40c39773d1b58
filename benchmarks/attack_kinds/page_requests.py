"""Hostile requests to a running `mvmr-demo`: with a login and without, and while another visitor searches."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator

import httpx

from benchmarks.attack_kinds import page_uploads
from benchmarks.attack_kinds.arena import MAX_BYTES, MAX_S, TRACEBACK, Arena, Try
from benchmarks.attack_kinds.bombs import small_library
from benchmarks.attack_kinds.page import Site, call, not_refused, search_by_upload, serving, unanswered

_LOGIN = "me:a long secret"
_GUESSES = 60
_FILE = {"meta": {"_type": "gradio.FileData"}}
_PRINTED = re.compile(
    r"WARNING: +(Invalid HTTP request received\.|Unsupported upgrade request\.|No supported WebSocket .+)"
    r"|An event could not be handled: .+|(GET|POST) /\S*: \w+: .+"
)
"""What the page prints for its operator: lines with a fixed text, and one line for a request that it cannot handle."""

_EVIL = "https://evil.example"


def attack_page(arena: Arena) -> Iterator[Try]:
    """Attack a page without a login, and then one with `--public --auth`."""
    folder = arena.place("requests")
    photo = small_library(arena, folder / "good", folder / "library")
    for attacks, name, words in (
        (OPEN, "open", ()),
        (PUBLIC, "public", ("--public", "--auth", _LOGIN)),
    ):
        home = arena.place("requests", name)
        with serving(arena, home, folder / "library", *words) as page:
            site = Site(page, folder / "library", photo)
            for attack_name, attack in attacks.items():
                yield _judged(site, attack_name, attack)


def _judged(site: Site, name: str, attack: Callable[[Site], list[str]]) -> Try:
    """One attack: the page must still answer, print nothing for the operator, and take little memory."""
    held = site.page.forget()
    began, before = time.perf_counter(), len(site.page.printed())
    try:
        what = attack(site)
    except (httpx.HTTPError, OSError) as error:
        what = [f"no answer: {type(error).__name__} {error}"]
    seconds = time.perf_counter() - began
    peak, printed = site.page.memory(), site.page.printed()[before:]
    if peak > max(MAX_BYTES, held * 1.1):
        what.append(f"the page took {peak / 1e6:,.0f} MB")
    if TRACEBACK in printed:
        what.append(f"traceback of the page: {printed.strip().splitlines()[-1][:160]}")
    elif foreign := [line for line in printed.splitlines() if line.strip() and not _PRINTED.fullmatch(line)]:
        what.append(f"the page printed: {foreign[0][:160]!r}")
    with site.page.client() as client, contextlib.suppress(httpx.HTTPError):
        if client.get("/").status_code < 500:
            return Try(
                name,
                tuple(what),
                seconds,
                peak,
                f"the requests of {name!r} in benchmarks/attack_kinds/page_requests.py",
            )
    return Try(name, (*what, "the page does not answer any more"), seconds, peak, name)


def _other_sites(site: Site) -> list[str]:
    own, port = "{}:{}".format(*site.page.place), site.page.place[1]
    headers = [
        {"origin": _EVIL}, {"origin": "null"}, {"origin": f"http://{own}.evil.example"},
        {"origin": "http://localhost:1"}, {"origin": f"http://evil.example#{own}"}, {"origin": "http://"},
        {"host": "evil.example"}, {"host": f"127.0.0.1.evil.example:{port}"}, {"host": ""},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "nonsense"},
        {"sec-fetch-site": "cross-site", "origin": ""}, {"origin": _EVIL, "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {"origin": _EVIL, "x-forwarded-host": own},
    ]  # fmt: skip
    with site.page.client() as client:
        answers = {
            str(each): client.post("gradio_api/call/status", json={"data": []}, headers=each).status_code
            for each in headers
        }
    return not_refused(answers)


def _forwarded_hosts(site: Site) -> list[str]:
    """What one visitor gets does not depend on the headers of another."""
    paths = ("/", "config", "manifest.json", "gradio_api/info", "theme.css", "gradio_api/openapi.json")
    with site.page.client() as client:
        for headers in ({"x-forwarded-host": "evil.example"}, {"x-forwarded-proto": "evil.example"},
                        {"forwarded": "host=evil.example"}, {"x-forwarded-prefix": "/evil.example"}):  # fmt: skip
            for path in paths:
                client.get(path, headers=headers)
        return [f"{path} names the host of an earlier request" for path in paths if "evil.ex" in client.get(path).text]


def _frames(site: Site) -> list[str]:
    with site.page.client() as client:
        found = []
        for path in ("/", "config", "gradio_api/info", "nothing", "login"):
            headers = client.get(path).headers
            if "frame-ancestors 'none'" not in headers.get("content-security-policy", "") and (
                headers.get("x-frame-options") != "DENY"
            ):
                found.append(f"{path} can be framed")
        return found


def _files(site: Site) -> list[str]:
    """No file but a thumbnail is served, by any spelling of its path."""
    library, thumbnails = site.library, site.library / "thumbnails"
    secrets = [
        "/etc/passwd", f"{library}/library.sqlite", str(site.photo), f"{thumbnails}/../library.sqlite",
        f"{thumbnails}/", f"{thumbnails}/%2e%2e/library.sqlite", f"{thumbnails}/..%2flibrary.sqlite",
        f"{thumbnails}/..%252flibrary.sqlite", "../" * 12 + "etc/passwd", "..%5c" * 12 + "etc/passwd", "//etc/passwd",
        "/proc/self/environ", "/dev/zero", "file:///etc/passwd", "/etc/passwd%00.jpg", "/etc/../etc/passwd",
        "demo/app.py", "pyproject.toml", f"{library}", "/proc/self/fd/0", str(site.page.log),
        "http://127.0.0.1:1/a.png", "data:text/html,a",
    ]  # fmt: skip
    prefixes = ("gradio_api/file=", "gradio_api/file/", "file=", "static/", "assets/", "gradio_api/proxy=",
                "theme.css/", "svelte/", "gradio_api/stream/", "custom_component/a/b/c/", "")  # fmt: skip
    found, host = [], "{}:{}".format(*site.page.place)
    for secret in secrets:
        for prefix in prefixes:
            request = f"GET /{prefix}{secret} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            answer = site.page.raw(request.replace("\\", "%5C").encode())
            if any(each in answer for each in (b"root:", b"SQLite format", b"PATH=", b"JFIF")):
                found.append(f"GET /{prefix}{secret} gave the file")
            elif b"Traceback" in answer or answer.startswith(b"HTTP/1.1 5"):
                found.append(f"GET /{prefix}{secret}: {answer[:40]!r}")
    return found[:10]


def _file_queries(site: Site) -> list[str]:
    """Files of this machine and addresses cannot be used as a query."""
    found = []
    with site.page.client() as client:
        for path in (
            "/etc/passwd",
            str(site.photo),
            "../" * 9 + "etc/passwd",
            "http://127.0.0.1:1/a.png",
            "/dev/zero",
            "",
        ):
            for photo in ({"path": path, **_FILE}, {"path": path}, {"path": path, "url": path, **_FILE}, path, [path]):
                outcome = call(client, "search", photo, 3, 0, "", "")
                if outcome.event not in ("error", "422") or "root:" in outcome.data:
                    found.append(f"{photo}: {outcome.event} {outcome.data[:80]}")
    return found


def _control_characters(site: Site) -> list[str]:
    """Characters that change the operator's terminal are refused and not printed."""
    found, host = [], "{}:{}".format(*site.page.place).encode()
    for text in (
        b"\x1b]0;owned\x07",
        b"%1b%5d0;owned%07",
        b"%0d%0aSet-Cookie:a=b",
        b"\xc2\x9b31m",
        b"%c2%9b",
        b"a%00b",
    ):
        for prefix in (b"/", b"/gradio_api/file=", b"/gradio_api/call/", b"/login?"):
            answer = site.page.raw(
                b"GET " + prefix + text + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
            )
            if not re.match(rb"HTTP/1.1 [34]", answer) and prefix != b"/login?":
                found.append(f"{prefix + text!r}: {answer[:40]!r}")
            if b"\r\nset-cookie: a=b" in answer.lower() or b"\x1b" in answer:
                found.append(f"{prefix + text!r} is in the answer")
    if any(char in site.page.printed() for char in ("\x1b", "\x9b", "\x07")):
        found.append("escape characters in what the page printed")
    return found


def _broken_http(site: Site) -> list[str]:
    """Requests that are no HTTP end in time."""
    host = "{}:{}".format(*site.page.place)
    post = f"POST /gradio_api/call/status HTTP/1.1\r\nHost: {host}\r\n"
    requests = [
        b"\x16\x03\x01\x02\0\x01\0", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 10_000 + b"\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        f"{post}Content-Length: -1\r\n\r\n".encode(),
        f"{post}Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello".encode(),
        f"{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n".encode(),
        f"{post}Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n".encode(),
        f"{post}Content-Type: application/json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n{{\"a\": 1".encode(),
    ]  # fmt: skip
    found = []
    for request in requests:
        with contextlib.suppress(ConnectionError):
            try:
                answer = site.page.raw(request, seconds=MAX_S)
            except TimeoutError:
                continue  # it waits for more, as it should
            if answer.startswith(b"HTTP/1.1 5") or b"Traceback" in answer:
                found.append(f"{request[:60]!r}: {answer[:60]!r}")
    return found


def _malformed_json(site: Site) -> list[str]:
    found = []
    deep = "[" * 100_000
    bodies = [
        b"", b"{", b"[]", b"null", b'{"data": 1}', b'{"data": {}}', b'{"data": [' + b"1," * 100_000 + b"1]}",
        deep.encode(), b'{"data": [NaN, 1e999, -0]}', b'{"data": ["' + b"a" * 1_000_000 + b'"]}', b"\xff\xfe",
        b'{"data": ["\\ud800"]}', b'{"data": [], "session_hash": {"a": 1}}', b'{"data": [], "fn_index": 99999}',
        b'{"fn_index": -1, "data": []}', b'{"data": [], "event_data": {"a": [1]}, "trigger_id": "x"}',
    ]  # fmt: skip
    kinds = (
        "call/search",
        "call/search_by_id",
        "call/status",
        "queue/join",
        "run/status",
        "api/status",
        "cancel",
        "reset",
    )
    with site.page.client() as client:
        for kind in kinds:
            for body in bodies:
                headers = {"content-type": "application/json"}
                found += unanswered(client, f"gradio_api/{kind}", f"{body[:40]!r}", content=body, headers=headers)
        for values in (
            [1e308, 3, 0, "", ""],
            ["x", [], {}, 1, 2],
            [1, 1e18, -1e18, "9" * 5_000, "\0"],
            [None] * 5,
            [-1, 0, 0, "", ""],
        ):
            outcome = call(client, "search_by_id", *values)
            if outcome.event != "error" or TRACEBACK in outcome.data:
                found.append(f"search_by_id {str(values)[:60]}: {outcome.event} {outcome.data[:80]}")
    return found[:10]


def _websockets(site: Site) -> list[str]:
    host = "{}:{}".format(*site.page.place)
    found = []
    for path in ("", "queue/join", "gradio_api/queue/join", "ws"):
        for origin in (_EVIL, f"http://{host}"):
            request = (
                f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            with contextlib.suppress(TimeoutError, ConnectionError):
                if site.page.raw(request.encode(), seconds=2).startswith(b"HTTP/1.1 101"):
                    found.append(f"/{path} of {origin} was accepted")
    return found


def _without_login(site: Site) -> list[str]:
    paths = ("config", "gradio_api/info", f"gradio_api/file={site.photo}", "gradio_api/queue/status", "monitoring")
    with site.page.client() as client:
        answers = {path: client.get(path).status_code for path in paths}
        answers["status"] = client.post("gradio_api/call/status", json={"data": []}).status_code
        answers["upload"] = client.post("gradio_api/upload", files={"files": ("a.jpg", b"a")}).status_code
        answers["cookie"] = client.get(
            "config", headers={"cookie": "access-token=a; access-token-unsecure=a"}
        ).status_code
    return not_refused(answers)


def _guesses(site: Site) -> list[str]:
    """Most guesses are refused before the password is compared, whatever headers they bring."""
    began, compared = time.perf_counter(), 0
    with site.page.client() as client:
        for number in range(_GUESSES):
            # a proxy on this machine appends the address of the client
            headers = {"x-forwarded-for": f"10.0.{number}.1, 10.9.9.9", "x-real-ip": f"10.1.{number}.1"}
            answer = client.post("login", data={"username": "me", "password": f"{number}"}, headers=headers)
            compared += answer.status_code != 429
    rate = compared / (time.perf_counter() - began)
    return [] if compared <= 15 else [f"{compared} of {_GUESSES} guesses were compared, {rate:.0f} a second"]


def _secrets_of_public(site: Site) -> list[str]:
    """With a login, a public page tells no path of this machine, and its cookie is strict."""
    found = []
    with site.page.client() as client:
        login = client.post("login", data=dict(zip(("username", "password"), _LOGIN.split(":"), strict=True)))
        if login.status_code != 200:
            return [f"the right password gives status {login.status_code}"]
        for cookie in login.headers.get_list("set-cookie"):
            if "HttpOnly" not in cookie or "SameSite=Lax" not in cookie:
                found.append(f"weak cookie: {cookie.partition('=')[2][-80:]}")
        client.cookies.update({name: value for name, value in login.cookies.items() if "unsecure" in name})
        texts = [client.get(path).text for path in ("/", "config", "gradio_api/info")]
        texts += [call(client, "search_by_id", 1, 3, 0, "", "").data, call(client, "status").data]
        texts.append(search_by_upload(client, "a.jpg", b"no photo").data)
        texts.append(json.dumps([call(client, "search_by_id", 1e9, 3, 0, "", "").data]))
    for secret in (str(site.library), str(site.photo.parent), str(site.page.log.parent / "tmp")):
        found += [
            f"{secret} is in an answer: {text[max(0, text.find(secret) - 60) :][:120]}"
            for text in texts
            if secret in text
        ]
    return found


OPEN: dict[str, Callable[[Site], list[str]]] = {
    "other-sites": _other_sites,
    "forwarded-hosts": _forwarded_hosts,
    "frames": _frames,
    "files": _files,
    "file-queries": _file_queries,
    "control-characters": _control_characters,
    "broken-http": _broken_http,
    "malformed-json": _malformed_json,
    "websockets": _websockets,
    "large-uploads": page_uploads.large_uploads,
    "slow-uploads": page_uploads.slow_uploads,
    "large-profile": page_uploads.large_profile,
    "eight-bombs": page_uploads.bombs_at_once,
    "many-uploads": page_uploads.many_uploads,
}
"""Attacks on a page without a login. After many uploads, no more are accepted for a while."""

PUBLIC: dict[str, Callable[[Site], list[str]]] = {
    "without-login": _without_login,
    "secrets-of-public": _secrets_of_public,
    "frames-with-login": _frames,
    "files-with-login": _files,
    "control-characters-with-login": _control_characters,
    "guesses": _guesses,
}
"""Attacks on a public page with a login. Guesses come last, because the right password is refused for a while then."""
