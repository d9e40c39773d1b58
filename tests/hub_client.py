"""A user of `HubServer`: a process of its own, with a home, a cache and a zoo of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .environment import clean_environment
from .forked import LIGHT, TORCH, run_forked
from .hub_server import HubServer

LOAD = """
import json, sys, mvmr_zoo
from mvmr_zoo.checkpoint import golden_images, lowest_cosine
from mvmr_zoo.errors import MvmrError
from mvmr_zoo.models import find_checkpoint
try:
    model = mvmr_zoo.load(sys.argv[1])
except MvmrError as error:
    sys.exit(f"{type(error).__name__}: {error}")
golden = find_checkpoint(model.spec).golden["features"]
answers = model.with_features().engine(golden_images(model.card.input_px))
print(json.dumps({"spec": model.spec, "digest": model.weights_digest, "cosine": lowest_cosine(golden, answers)}))
"""


class HubClient:
    """Runs Python processes against a server.

    Args:
        server: the Hub.
        home: folder of this user's cache and zoo.
        token: the user's; None for nobody in particular.
        **environment: more variables.
    """

    def __init__(self, server: HubServer, home: Path, token: str | None = None, **environment: str) -> None:
        self.cache = home / "hub"
        self.zoo = home / "zoo"
        self.env = clean_environment(
            home,
            HF_HOME=str(home),
            HF_ENDPOINT=server.endpoint,
            HF_HUB_DISABLE_XET="1",
            HF_HUB_OFFLINE="0",
            MVMR_ZOO_HOME=str(self.zoo),
            **({"HF_TOKEN": token} if token else {}),
            **environment,
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A Python process, begun."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.env | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A Python process, done."""
        return run_forked(list(arguments), self.env | environment, LIGHT)

    def load(self, spec: str, **environment: str) -> dict[str, Any]:
        """Load a model; its spec, weights digest and lowest cosine to the golden answers."""
        done = self.run("-c", LOAD, spec, **environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))

    def refusal(self, spec: str, **environment: str) -> str:
        """The error of a load that must fail."""
        done = self.run("-c", LOAD, spec, **environment)
        assert done.returncode == 1, done.stdout
        return done.stderr.splitlines()[-1]

    def push(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`python -m training.push`."""
        return run_forked(["-m", "training.push", *arguments], self.env | environment, TORCH)

    def snapshots(self, repo: str) -> list[Path]:
        """Every file in this user's snapshots of a repository."""
        return sorted((self.cache / f"models--{repo.replace('/', '--')}").glob("snapshots/*/*"))
