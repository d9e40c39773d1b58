from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvmr_zoo.checkpoint import Alignment, Checkpoint, Head
from mvmr_zoo.errors import ConfigError
from mvmr_zoo.models.hub import parse_hub_spec

from ....conftest import make_checkpoint
from ....hub_client import LOAD, HubClient
from ....hub_server import OWNER, READER, Fault, HubServer

NEEDED = ["config.json", "golden.safetensors", "graph.onnx", "model.safetensors"]


@pytest.mark.parametrize(
    "spec", ["", "name", "../name", "org/name/more", "org/na me", "org/a..b", "org/x@../../y", "a/b@"]
)
def test_invalid_specs(spec: str) -> None:
    with pytest.raises(ConfigError, match="is not a repository on the Hub"):
        parse_hub_spec(f"hf-hub:{spec}")


def test_only_required_files_are_downloaded_and_only_once(
    hub: HubServer, commit: str, client: HubClient, checkpoint: Checkpoint
) -> None:
    first = client.load("hf-hub:org/tiny")
    assert (first["spec"], first["digest"]) == (f"hf-hub:org/tiny@{commit}", checkpoint.weights_digest)
    assert first["cosine"] > 0.99999
    assert [path.name for path in client.snapshots("org/tiny")] == NEEDED
    asked = len(hub.requests)
    assert asked > 0
    assert client.load("hf-hub:org/tiny") == first
    assert client.load("hf-hub:org/tiny@main") == first
    assert client.load(first["spec"], HF_HUB_OFFLINE="1") == first
    assert len(hub.requests) == asked


COUNTED_LOAD = """
import json, sys, mvmr_zoo
from mvmr_zoo.checkpoint import config, hashes, read
calls = []
def count(module, name):
    function = getattr(module, name)
    def counted(path):
        calls.append(f"{name} {path.name}")
        return function(path)
    setattr(module, name, counted)
for module, name in ((config, "read_json_object"), (hashes, "file_digest"), (read, "read_tensors")):
    count(module, name)
mvmr_zoo.load(sys.argv[1])
print(json.dumps(calls))
"""


def test_each_file_is_hashed_and_read_once(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    """This holds for a download, and for a load from the cache."""
    random = np.random.default_rng(0)
    head = Head(*(random.standard_normal(shape).astype(np.float32) for shape in ((5, 256), (5,))))
    alignment = Alignment(*(random.standard_normal(shape).astype(np.float32) for shape in ((8, 256), (8, 9), (9,))))
    made = make_checkpoint(tmp_path / "whole", head=head, class_names=tuple("abcde"), alignment=alignment)
    hub.store("org/whole", made.folder)
    files = sorted(made.config.sha256)
    expected = [f"file_digest {name}" for name in files] + ["read_json_object config.json"]
    expected += [f"read_tensors {name}" for name in files if name != "graph.onnx"]
    for _ in range(2):
        done = client.run("-c", COUNTED_LOAD, "hf-hub:org/whole")
        assert done.returncode == 0, done.stderr
        assert sorted(json.loads(done.stdout)) == expected


def test_a_projector_is_not_downloaded(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    made = make_checkpoint(tmp_path / "with", projector=True)
    assert made.projector() is not None
    hub.store("org/with", made.folder)
    client.load("hf-hub:org/with")
    assert [path.name for path in client.snapshots("org/with")] == NEEDED
    assert not [request for request in hub.requests if "projector" in request.path]


def test_catalog_name_with_an_organization(hub: HubServer, client: HubClient, checkpoint: Checkpoint) -> None:
    hub.store("org/resnet50-clip-kd", checkpoint.folder)
    assert "MVMR_HUB_ORG is not set" in client.refusal("resnet50-clip-kd")
    assert hub.requests == []
    assert client.load("resnet50-clip-kd", MVMR_HUB_ORG="org")["digest"] == checkpoint.weights_digest


def test_an_interrupted_transfer_is_resumed(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    hub.store("org/large", make_checkpoint(tmp_path / "large", architecture="resnet18").folder)
    weights = hub.files("org/large")["model.safetensors"]["sha256"]
    hub.faults.append(Fault(f"GET /{weights}", cut=True))
    assert client.load("hf-hub:org/large")["cosine"] > 0.99999
    ranges = [request.range for request in hub.requests if weights in request.path]
    assert len(ranges) == 2
    assert ranges[0] is None
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 1_000_000


def test_load_after_a_killed_download(hub: HubServer, commit: str, client: HubClient) -> None:
    weights = hub.files("org/tiny")["model.safetensors"]["sha256"]
    hub.faults.append(Fault(f"GET /{weights}", cut=True, stall_s=120))
    with client.start("-c", "import mvmr_zoo; mvmr_zoo.load('hf-hub:org/tiny')") as process:
        while not [request for request in hub.requests if f"/{weights}" == request.path]:
            time.sleep(0.05)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert "not in the Hub's cache" in client.refusal("hf-hub:org/tiny", HF_HUB_OFFLINE="1")
    assert client.load("hf-hub:org/tiny")["cosine"] > 0.99999


@pytest.mark.parametrize(
    "pattern", ["HEAD /org/tiny/resolve/main/config.json", "GET /.*/config.json", "GET /[0-9a-f]{64}"]
)
@pytest.mark.parametrize("status", [500, 429])
def test_temporary_errors_are_retried(
    hub: HubServer, commit: str, client: HubClient, pattern: str, status: int
) -> None:
    hub.faults.append(Fault(pattern, status=status, headers={"Retry-After": "1"}))
    assert client.load("hf-hub:org/tiny")["cosine"] > 0.99999
    assert hub.faults[0].times == 0


def test_permanent_errors_leave_no_folder(hub: HubServer, commit: str, client: HubClient) -> None:
    hub.faults.append(Fault("GET /[0-9a-f]{64}", times=99, status=503, headers={"Retry-After": "0"}))
    error = client.refusal("hf-hub:org/tiny")
    assert error.startswith("HubError")
    assert "503" in error
    assert client.snapshots("org/tiny") == []


def test_abandoned_transfers_are_removed_after_an_hour(hub: HubServer, commit: str, client: HubClient) -> None:
    blobs = client.cache / "models--org--tiny" / "blobs"
    blobs.mkdir(parents=True)
    old, running = blobs / "a.0.incomplete", blobs / "b.1.incomplete"
    for path in (old, running):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    client.load("hf-hub:org/tiny")
    assert not old.exists()
    assert running.exists()


def test_private_gated_wrong_token_no_revision(hub: HubServer, commit: str, client: HubClient) -> None:
    assert "has no revision 'v9'" in client.refusal("hf-hub:org/tiny@v9")
    assert "The model org/nothing was not found" in client.refusal("hf-hub:org/nothing")
    hub.change("org/tiny", gated="manual")
    assert "org/tiny is gated. Request access" in client.refusal("hf-hub:org/tiny", HF_TOKEN=READER)
    hub.change("org/tiny", private=True)
    for environment in ({}, {"HF_TOKEN": READER}, {"HF_TOKEN": "hf_wrong"}):
        assert "HF_TOKEN in the environment" in client.refusal("hf-hub:org/tiny", **environment)
    assert client.load("hf-hub:org/tiny", HF_TOKEN=OWNER)["cosine"] > 0.99999
    assert not [request for request in hub.requests if len(request.path) == 65 and request.authorized]


def test_a_file_altered_on_the_server_is_refused_and_not_kept(hub: HubServer, commit: str, client: HubClient) -> None:
    weights = hub.blob(hub.files("org/tiny")["model.safetensors"]["sha256"])
    right = weights.read_bytes()
    weights.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
    error = client.refusal("hf-hub:org/tiny")
    assert error.startswith("CheckpointError")
    assert "model.safetensors" in error
    assert client.snapshots("org/tiny") == []
    weights.write_bytes(right)
    assert client.load("hf-hub:org/tiny")["cosine"] > 0.99999


def test_a_repository_that_is_not_a_checkpoint(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("# other\n")
    hub.store("org/other", tmp_path / "other")
    assert "not a checkpoint folder" in client.refusal("hf-hub:org/other")
    (tmp_path / "other" / "config.json").write_text('{"schema_version": 9}')
    hub.store("org/other", tmp_path / "other")
    assert "schema_version is 9" in client.refusal("hf-hub:org/other")
    assert client.snapshots("org/other") == []


def test_two_processes_at_once(hub: HubServer, commit: str, client: HubClient) -> None:
    code = "import mvmr_zoo; print(mvmr_zoo.load('hf-hub:org/tiny').weights_digest)"
    both = [client.start("-c", code) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0][0] == answers[1][0]
    weights = hub.files("org/tiny")["model.safetensors"]["sha256"]
    assert len([request for request in hub.requests if weights in request.path]) == 1


PINNED_LOAD = """
import sys, dataclasses, mvmr_zoo
from mvmr_zoo.checkpoint import Pin
from mvmr_zoo.errors import MvmrError
row = mvmr_zoo.CATALOG["resnet50-clip-kd"]
pin = Pin(repo="org/tiny", revision=sys.argv[1], sha256=sys.argv[2])
mvmr_zoo.CATALOG["resnet50-clip-kd"] = dataclasses.replace(row, pin=pin)
try:
    print(mvmr_zoo.load("resnet50-clip-kd").weights_digest)
except MvmrError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_pinned_card_accepts_no_other_folder(
    hub: HubServer, commit: str, client: HubClient, checkpoint: Checkpoint, other_checkpoint: Checkpoint
) -> None:
    right = checkpoint.config_digest
    hub.store("org/tiny", other_checkpoint.folder)  # the branch has moved on; the pin has not
    done = client.run("-c", PINNED_LOAD, commit, right)
    assert done.stdout.split() == [checkpoint.weights_digest]
    wrong = client.run("-c", PINNED_LOAD, commit, "0" * 64)
    assert "the requested model has 000000000000" in wrong.stderr
    shutil.copytree(other_checkpoint.folder, client.zoo / "resnet50-clip-kd")
    local = client.run("-c", PINNED_LOAD, commit, right)
    assert "but the catalog expects" in local.stderr


def test_a_damaged_cache_is_repaired(hub: HubServer, commit: str, client: HubClient) -> None:
    first = client.load("hf-hub:org/tiny")
    for name in ("model.safetensors", "config.json"):
        (path,) = [each for each in client.snapshots("org/tiny") if each.name == name]
        path.resolve().write_bytes(path.read_bytes()[:100])
        assert name in client.refusal("hf-hub:org/tiny", HF_HUB_OFFLINE="1")
        assert client.load("hf-hub:org/tiny") == first


DOWNLOAD_ONE = "import sys, huggingface_hub as h; print(h.hf_hub_download('org/vit', 'config.json'))"


def test_files_cached_by_another_program_are_kept(hub: HubServer, client: HubClient, tmp_path: Path) -> None:
    (tmp_path / "vit").mkdir()
    (tmp_path / "vit" / "config.json").write_text('{"model_type": "vit"}')
    hub.store("org/vit", tmp_path / "vit")
    path = Path(client.run("-c", DOWNLOAD_ONE).stdout.strip())
    assert "schema_version is None" in client.refusal("hf-hub:org/vit")
    assert path.read_text() == '{"model_type": "vit"}'


@pytest.mark.parametrize("organization", ["a/b", " ", "org/tiny@main", "../x", "a--b", "x" * 200])
def test_invalid_organizations(client: HubClient, organization: str) -> None:
    assert "MVMR_HUB_ORG is" in client.refusal("resnet50-clip-kd", MVMR_HUB_ORG=organization)


def test_an_organization_without_the_model_lists_the_address_of_the_weights(hub: HubServer, client: HubClient) -> None:
    error = client.refusal("resnet50-clip-kd", MVMR_HUB_ORG="org")
    for words in ("drive.google.com", "mvmr-zoo import FILE", "Error from the Hub: The model org/resnet50-clip-kd was"):
        assert words in error


def test_a_path_with_a_pinned_name_is_refused(client: HubClient, checkpoint: Checkpoint, tmp_path: Path) -> None:
    shutil.copytree(checkpoint.folder, tmp_path / "resnet50-clip-kd")
    code = f"import os; os.chdir({str(tmp_path)!r})\n{PINNED_LOAD}"
    assert "but the catalog expects 000000000000" in client.run("-c", code, "0" * 40, "0" * 64).stderr


def test_connection_error_in_one_line_without_the_password(client: HubClient) -> None:
    impatient = "import time; time.sleep = lambda seconds: None\n" + LOAD  # huggingface_hub tries six times in 23 s
    done = client.run("-c", impatient, "hf-hub:org/tiny", HF_ENDPOINT="http://me:sekret@127.0.0.1:9")
    assert done.stderr.startswith("HubError: http://127.0.0.1:9: downloading config.json of org/tiny failed")
    assert "sekret" not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


SNAPSHOT = "import sys, huggingface_hub as h; print(h.snapshot_download(sys.argv[1]))"


def test_files_cached_by_another_program_survive_a_new_revision(
    hub: HubServer, client: HubClient, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    """The new revision shares a file with the old one and has a wrong hash for it. The old revision stays complete."""
    copy = Path(shutil.copytree(checkpoint.folder, tmp_path / "copy"))
    hub.store("org/moved", copy)
    first = Path(client.run("-c", SNAPSHOT, "org/moved").stdout.strip())
    text = (copy / "config.json").read_text()
    (copy / "config.json").write_text(text.replace(checkpoint.weights_digest, "0" * 64))
    second = hub.store("org/moved", copy)
    assert "model.safetensors has SHA-256" in client.refusal(f"hf-hub:org/moved@{second}")
    assert (first / "model.safetensors").read_bytes() == (checkpoint.folder / "model.safetensors").read_bytes()
    assert client.load("hf-hub:org/moved", HF_HUB_OFFLINE="1")["digest"] == checkpoint.weights_digest


@pytest.mark.parametrize("header", ["ETag", "X-Linked-Etag", "X-Repo-Commit"])
@pytest.mark.parametrize("name", ["../../../../victim", "/tmp/victim", "..", "a/b", "x" * 200])
def test_names_of_a_server_are_not_used_as_paths(
    hub: HubServer, commit: str, client: HubClient, header: str, name: str
) -> None:
    """A hostile server could delete or write any file of the user: the header becomes a path in the cache."""
    victim = client.cache.parent / "victim"
    victim.parent.mkdir(parents=True, exist_ok=True)
    victim.write_text("mine")
    hub.faults.append(
        Fault("HEAD /org/tiny/resolve", times=9, headers={header: f'"{name}"' if "ag" in header else name})
    )
    error = client.refusal("hf-hub:org/tiny")
    assert error.startswith("HubError")
    assert "is not a plain name" in error
    assert victim.read_text() == "mine"
    assert sorted(each.name for each in victim.parent.iterdir()) == ["hub", "victim"]


@pytest.mark.parametrize("fault", [{"headers": {"Content-Length": "629000000"}}, {"flood": True}])
def test_a_file_that_is_too_large_is_not_received(
    hub: HubServer, commit: str, client: HubClient, fault: dict[str, Any]
) -> None:
    hub.faults.append(Fault("GET /org/tiny/resolve/.*config", times=9, **fault))
    error = client.refusal("hf-hub:org/tiny")
    assert error.startswith("HubError")
    assert "sends more than 50,000,000 bytes" in error
    assert client.snapshots("org/tiny") == []


def test_errors_may_have_any_etag(hub: HubServer, commit: str, client: HubClient) -> None:
    """The etag of an error is a base64 hash, which can contain a slash. It never becomes a path."""
    hub.faults.append(Fault("HEAD /org/tiny/resolve", times=9, status=403, headers={"ETag": 'W/"2b-rB0grUx/Kqo6"'}))
    assert "does not allow downloading config.json" in client.refusal("hf-hub:org/tiny")


def test_compressed_files_without_a_length(hub: HubServer, commit: str, client: HubClient) -> None:
    """The real Hub sends text files so."""
    hub.faults.append(Fault("GET /org/tiny/resolve/.*config", times=9, compress=True))
    assert client.load("hf-hub:org/tiny")["cosine"] > 0.99999
    assert hub.faults[0].times < 9


def test_the_token_is_not_sent_to_a_server_that_a_mirror_names(hub: HubServer, commit: str, client: HubClient) -> None:
    named = f"{hub.cdn}/api/models/org/tiny/xet-read-token/main"
    xet = {"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": named, "Link": f'<{named}>; rel="xet-auth"'}
    hub.faults.append(Fault("HEAD /org/tiny/resolve", times=99, headers=xet))
    assert client.load("hf-hub:org/tiny", HF_TOKEN=OWNER, HF_HUB_DISABLE_XET="0")["cosine"] > 0.99999
    assert not [request for request in hub.requests if "xet" in request.path]
