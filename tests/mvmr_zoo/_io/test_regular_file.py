from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from mvmr_zoo._io import open_regular, read_regular

from ...command_line import refused, run

WAIT_S = 120


def test_regular_files_and_links_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for path in (tmp_path / "a", str(tmp_path / "link"), os.fsencode(tmp_path / "a")):
        assert read_regular(path) == b"content"
    with open_regular(tmp_path / "a") as file:
        assert file.read(3) == b"con"


def test_other_files_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    script = (
        "import sys\n"
        "from mvmr_zoo._io import read_regular\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        read_regular(path)\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)\n"
    )
    paths = [tmp_path / "pipe", tmp_path / "socket", "/dev/zero", tmp_path, tmp_path / "missing"]
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, timeout=WAIT_S)
    assert done.stdout.split() == ["OSError", "OSError", "OSError", "IsADirectoryError", "FileNotFoundError"]


def test_commands_do_not_wait_for_a_pipe(photo_folder: Path, tmp_path: Path) -> None:
    """Commands blocked forever if a photo, a config.json or a manifest.json was a pipe."""
    for name in ("photo.jpg", "config.json", "manifest.json"):
        (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / name / name)
    pipe = tmp_path / "photo.jpg" / "photo.jpg"
    (tmp_path / "names.txt").write_text(f"{next(photo_folder.rglob('*.jpg'))}\n{pipe}\n")

    def type_(*words: object) -> subprocess.CompletedProcess[str]:
        return run(*words, home=tmp_path / "home", timeout=WAIT_S)

    embedded = type_("embed", tmp_path / "names.txt", "-o", tmp_path / "out", "--model", "effnet-lite:0")
    assert embedded.returncode == 0, embedded.stderr
    assert "it is not a regular file" in embedded.stdout + embedded.stderr
    refused(type_("search", pipe, "--library", tmp_path / "out"), "has no index")
    refused(type_("verify", tmp_path / "config.json"), "it is not a regular file")
    refused(type_("search", pipe, "--library", tmp_path / "manifest.json"), "There is no library")


PIPES = """
import os, sys
from pathlib import Path
import numpy as np
from mvmr_zoo.architectures.effnet_lite.legacy_state_dict import read_legacy_state_dict
from mvmr_zoo.checkpoint import count_parameters, read_tensors
from mvmr_zoo.datasets import image_folder, parquet_images
from mvmr_zoo.datasets.voc import _lines
from mvmr_zoo.embed.failures import count_reasons
from mvmr_zoo.embed.filesystem import open_place
from mvmr_zoo.embed.folder.reader import Shard, open_shards
from mvmr_zoo.models.archive import unbundle
from mvmr_zoo.search.index.faiss_io import read_index
from mvmr_zoo.search.index.ivfpq_build import _stamp
from mvmr_zoo.search.index.mapped_folder import Paths
from mvmr_zoo.search.lock import _describe_holder, writing

root = Path(sys.argv[1])

def pipe(name):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path

np.save(root / "array.npy", np.zeros((1, 2), np.float16))
(root / "shards" / "img_emb").mkdir(parents=True)
(root / "shards" / "img_emb" / "img_emb_0.npy").write_bytes((root / "array.npy").read_bytes())
pipe("shards/metadata/metadata_0.parquet")
pipe("arrays/img_emb/img_emb_0.npy")
pipe("failures/failures_0.parquet")
pipe("paths.npy")
pipe("paths/paths.bin")
(root / "paths" / "paths.npy").write_bytes((root / "array.npy").read_bytes())
pipe("data/made_of")
pipe("classes/a/b.jpg")
pipe("parquet/train-1.parquet")
(root / "parquet" / "train-0.parquet").write_bytes(Path(sys.argv[2]).read_bytes())
pipe("library/.writer")

def holder():
    print(_describe_holder(root / "library" / ".writer"))
    with writing(root / "library"):
        assert (root / "library" / ".writer").is_fifo()

one = pipe("pipe")
for name, use in {
    "legacy": lambda: read_legacy_state_dict(one),
    "tensors": lambda: read_tensors(one),
    "parameters": lambda: count_parameters(one),
    "index": lambda: read_index(one),
    "mapped index": lambda: read_index(one, mapped=True),
    "voc": lambda: _lines(one),
    "archive": lambda: unbundle(one),
    "parts": lambda: open_place(str(root)).open_file(str(one)),
    "table": lambda: list(open_shards(root / "shards", None)),
    "array": lambda: list(open_shards(root / "arrays", None)),
    "paths of a shard": lambda: Shard(np.empty(0), one, one).image_paths(),
    "failures": lambda: count_reasons(root, "0"),
    "starts": lambda: Paths(root, 1),
    "bytes": lambda: Paths(root / "paths", 1),
    "stamp": lambda: _stamp(root / "data"),
    "folder": lambda: image_folder(root / "classes").fingerprint,
    "parquet": lambda: parquet_images(root / "parquet"),
    "holder": holder,
}.items():
    try:
        use()
        print(name, "passed")
    except Exception as error:
        print(name, error)
"""


def test_nothing_that_is_read_may_be_a_pipe(photo_folder: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = next(photo_folder.rglob("*.jpg")).read_bytes()
    pq.write_table(pa.table({"image": [{"bytes": content, "path": None}], "label": [0]}), tmp_path / "whole.parquet")
    command = [sys.executable, "-c", PIPES, tmp_path / "pipes", tmp_path / "whole.parquet"]
    (tmp_path / "pipes").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    passed = [line for line in lines if line.endswith("passed")]
    assert passed == ["stamp passed", "holder passed"]  # the one is none, the other only informs
    others = [line for line in lines if line not in passed]
    assert others.pop() == "another command"
    assert len(others) == 16
    assert all("not a regular file" in line or line.startswith("folder") for line in others), others
