from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mvmr_zoo.checkpoint import Checkpoint, read_checkpoint
from mvmr_zoo.checkpoint.card import Figure
from mvmr_zoo.evaluate import Report, write_report
from training.push import app

from ..conftest import make_checkpoint
from ..hub_client import HubClient
from ..hub_server import OWNER, Fault, HubServer


@pytest.fixture
def owner(hub: HubServer, tmp_path: Path) -> HubClient:
    return HubClient(hub, tmp_path / "owner", OWNER)


def report_of(checkpoint: Checkpoint, path: Path, **changed: str) -> Path:
    report = Report(
        protocol="knn-v1",
        data="imagenette",
        model=checkpoint.config.name,
        weights=checkpoint.weights_digest,
        preprocess=checkpoint.config.preprocess.digest,
        seed=0,
        seconds=1.5,
        figures={"imagenette/knn-v1": Figure(value=0.5, low=0.4, high=0.6, images=100)},
    )
    write_report(path, dataclasses.replace(report, **changed))
    return path


def test_pushed_loaded_in_a_fresh_process_and_then_offline(
    hub: HubServer, owner: HubClient, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    report = report_of(checkpoint, tmp_path / "knn.json")
    done = owner.push(str(checkpoint.folder), "--repo", "org/tiny", "--tag", "v1", "--report", str(report))
    assert done.returncode == 0, done.stderr
    assert "Loaded again from the Hub" in done.stdout
    assert len([request for request in hub.requests if "/commit/" in request.path]) == 1
    assert set(hub.files("org/tiny", "v1")) == {
        "config.json", "model.safetensors", "graph.onnx", "golden.safetensors", "README.md", "reports/knn.json",
    }  # fmt: skip
    somebody = HubClient(hub, tmp_path / "somebody")
    loaded = somebody.load("hf-hub:org/tiny@v1")
    assert loaded["digest"] == checkpoint.weights_digest
    assert loaded["cosine"] > 0.99999
    asked = len(hub.requests)
    assert somebody.load("hf-hub:org/tiny@v1", HF_HUB_OFFLINE="1") == loaded
    assert len(hub.requests) == asked
    folder = somebody.snapshots("org/tiny")[0].parent
    assert read_checkpoint(folder).config.metrics["imagenette/knn-v1"].low == 0.4
    card = hub.blob(hub.files("org/tiny")["README.md"]["sha256"]).read_text()
    assert 'mvmr_zoo.load("hf-hub:org/tiny")' in card
    assert "| imagenette/knn-v1 | 0.500 | 0.400 to 0.600 | 100 | reports/knn.json |" in card


def test_pushed_again_without_what_it_no_longer_has(hub: HubServer, owner: HubClient, tmp_path: Path) -> None:
    first = make_checkpoint(tmp_path / "tiny", projector=True)
    assert owner.push(str(first.folder), "--repo", "org/tiny").returncode == 0
    assert "projector.safetensors" in hub.files("org/tiny")
    second = make_checkpoint(tmp_path / "tiny", seed=1)
    assert owner.push(str(second.folder), "--repo", "org/tiny").returncode == 0
    assert "projector.safetensors" not in hub.files("org/tiny")
    assert hub.files("org/tiny")["model.safetensors"]["sha256"] == second.weights_digest


def test_dry_run_shows_the_card_and_asks_nobody(hub: HubServer, owner: HubClient, checkpoint: Checkpoint) -> None:
    before = {path.name: path.read_bytes() for path in checkpoint.folder.iterdir()}
    done = owner.push(str(checkpoint.folder), "--repo", "org/tiny", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "pipeline_tag: image-feature-extraction" in done.stdout
    assert re.search(r"\d  model\.safetensors\n", done.stdout)
    assert hub.requests == []
    assert before == {path.name: path.read_bytes() for path in checkpoint.folder.iterdir()}


def test_uploads_go_on_after_errors_that_pass(hub: HubServer, owner: HubClient, checkpoint: Checkpoint) -> None:
    hub.faults += [
        Fault("PUT /[0-9a-f]{64}", status=500, headers={"Retry-After": "0"}),
        Fault("POST /api/models/org/tiny/preupload", status=429, headers={"Retry-After": "1"}),
    ]
    done = owner.push(str(checkpoint.folder), "--repo", "org/tiny")
    assert done.returncode == 0, done.stderr
    assert [fault.times for fault in hub.faults] == [0, 0]


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


def test_what_is_refused_before_anything_is_uploaded(
    hub: HubServer, owner: HubClient, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    tiny = str(checkpoint.folder)
    hub.store("org/public", checkpoint.folder)
    hub.change("org/public", tags={"v1": hub.read("org/public")["refs"]["main"]})
    unlicensed = make_checkpoint(tmp_path / "unlicensed", license="not stated")
    other = report_of(checkpoint, tmp_path / "other.json", weights="0" * 64)
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    reports = [f"--report={report_of(checkpoint, tmp_path / name / 'knn.json')}" for name in "ab"]
    altered = Path(shutil.copytree(checkpoint.folder, tmp_path / "altered"))
    (altered / "graph.onnx").write_bytes(b"")
    attempts = {
        "org/public is public": (tiny, "--repo", "org/public", "--private"),
        "already has the tag 'v1'": (tiny, "--repo", "org/public", "--tag", "v1"),
        "does not allow creating elsewhere/tiny": (tiny, "--repo", "elsewhere/tiny"),
        "license is not stated": (str(unlicensed.folder), "--repo", "org/unlicensed"),
        "Evaluate the model again": (tiny, "--repo", "org/tiny", "--report", str(other)),
        "not an evaluation report": (tiny, "--repo", "org/tiny", "--report", str(broken)),
        "graph.onnx has SHA-256": (str(altered), "--repo", "org/tiny"),
        "is not a repository on the Hub": (tiny, "--repo", "../tiny"),
        "expected ORG/NAME alone": (tiny, "--repo", "org/tiny@dev"),
        "'a b' is not a valid tag": (tiny, "--repo", "org/tiny", "--tag", "a b"),
        "Two reports are named knn.json": (tiny, "--repo", "org/tiny", *reports),
    }
    for message, arguments in attempts.items():
        asks_the_hub = "public" in message or "already" in message or "allow" in message
        done = owner.push(*arguments) if asks_the_hub else CliRunner().invoke(app, arguments)
        assert getattr(done, "returncode", None) == 2 or getattr(done, "exit_code", None) == 2, message
        assert message in last_line(done.stderr)
    assert not [request for request in hub.requests if request.method == "PUT" or "/commit/" in request.path]


def test_private_stays_private(hub: HubServer, owner: HubClient, tmp_path: Path) -> None:
    unlicensed = make_checkpoint(tmp_path / "unlicensed", license="not stated")
    done = owner.push(str(unlicensed.folder), "--repo", "org/mine", "--private")
    assert done.returncode == 0, done.stderr
    assert "The model org/mine was not found" in HubClient(hub, tmp_path / "other").refusal("hf-hub:org/mine")
    assert owner.load("hf-hub:org/mine")["digest"] == unlicensed.weights_digest


def test_the_token_is_never_shown(hub: HubServer, checkpoint: Checkpoint, tmp_path: Path) -> None:
    loud = {"HF_DEBUG": "1", "HF_HUB_VERBOSITY": "debug"}
    code = "import logging, mvmr_zoo; logging.basicConfig(level=0); mvmr_zoo.load('hf-hub:org/tiny')"
    said = []
    for number, token in enumerate((OWNER, "hf_wrong0000", "hf_née two words\t00")):
        user = HubClient(hub, tmp_path / f"user{number}", token, **loud)
        pushed = user.push(str(checkpoint.folder), "--repo", "org/tiny")
        hub.faults = [Fault("GET /.*/config.json", status=403), Fault("HEAD /org/tiny", status=500, times=2)]
        loaded = user.run("-c", code)
        said.append(pushed.stdout + pushed.stderr + loaded.stdout + loaded.stderr)
        assert token not in said[-1]
        assert token.encode("unicode_escape").decode() not in said[-1]
        assert (pushed.returncode == 0) == (token == OWNER), pushed.stderr
        if token != OWNER:
            assert last_line(pushed.stderr).startswith("Error: ")
    assert "authorization" in said[0].lower()  # it was loud: requests were logged


def test_update_catalog_writes_the_row(
    hub: HubServer, owner: HubClient, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """In a copy of the package, so that this checkout's catalog stays as it is."""
    root = Path(__file__).parents[2]
    for package in ("mvmr_zoo", "training"):
        ignored = shutil.ignore_patterns("__pycache__", "bundled")
        shutil.copytree(root / package, tmp_path / "src" / package, ignore=ignored)
    here = {"PYTHONPATH": str(tmp_path / "src"), "PYTHONSAFEPATH": "1"}
    done = owner.push(str(checkpoint.folder), "--repo", "org/tiny", "--update-catalog", **here)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "src" / "mvmr_zoo" / "models" / "hub_catalog.json") in done.stdout
    somebody = HubClient(hub, tmp_path / "somebody", **here)
    assert somebody.load("tiny")["digest"] == checkpoint.weights_digest
    listed = somebody.run("-m", "mvmr_zoo.cli", "models", "--json")
    (row,) = [card for card in json.loads(listed.stdout) if card["name"] == "tiny"]
    assert row["location"] == "hub"
    assert row["pin"]["repo"] == "org/tiny"
