"""A small Hugging Face Hub on loopback, storing files on disk: what huggingface_hub speaks, and no more.

    python -m tests.hub_server ROOT        # then HF_ENDPOINT=http://127.0.0.1:PORT

Repositories, commits, tags, LFS uploads, resolving with etags and ranges, tokens, private and gated repositories.
Large files are served from a second origin, as the real Hub's are, which must never see a token. `Faults` make it
answer with errors or cut a transfer. Written from huggingface_hub's own client code.
"""

from __future__ import annotations

import re
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

from .hub_api import OWNER, READER, HubHandler
from .hub_http import CdnHandler, Fault, Handler, Request
from .hub_storage import HubStorage

__all__ = ["OWNER", "READER", "Fault", "HubServer"]


class HubServer(HubStorage):
    """The server; use it as a context manager.

    Args:
        root: folder of its repositories and files.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self._servers = [
            ThreadingHTTPServer(("127.0.0.1", 0), self._handler(kind)) for kind in (HubHandler, CdnHandler)
        ]
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> HubServer:
        for server in self._servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self, kind: type[Handler]) -> type[Handler]:
        return type(kind.__name__, (kind,), {"hub": self})

    def fault_of(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, f"{method} {path}"):
                    fault.times -= 1
                    return fault
        return None


if __name__ == "__main__":
    with HubServer(Path(sys.argv[1])) as server:
        print(f"HF_ENDPOINT={server.endpoint} HF_HUB_DISABLE_XET=1 HF_TOKEN={OWNER}", flush=True)
        threading.Event().wait()
