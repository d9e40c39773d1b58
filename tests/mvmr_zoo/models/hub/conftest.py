from __future__ import annotations

from pathlib import Path

import pytest

from mvmr_zoo.checkpoint import Checkpoint

from ....hub_client import HubClient
from ....hub_server import HubServer


@pytest.fixture
def commit(hub: HubServer, checkpoint: Checkpoint) -> str:
    """The commit of the tiny checkpoint in org/tiny."""
    return hub.store("org/tiny", checkpoint.folder)


@pytest.fixture
def client(hub: HubServer, tmp_path: Path) -> HubClient:
    """A user who is not logged in."""
    return HubClient(hub, tmp_path / "user")
