"""Whether autofaiss, and the reader of clip-retrieval, take an embeddings folder of `mvmr-zoo embed` as it is.

    python benchmarks/autofaiss_reads.py PHOTO-FOLDER [--photos 300] [--venv FOLDER]

They want NumPy 1, so they get a venv of their own, made by pip where `--venv` has none. Tried are folders of one shard,
of twelve, and with a shard in which every image failed. Printed: how many hits of autofaiss's index exact search finds
too; how many photos' own vectors find the row that has their `image_path`; what embedding-reader pairs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import mvmr_zoo
from mvmr_zoo.datasets import image_folder
from mvmr_zoo.embed import embed_source, open_source
from mvmr_zoo.embed.folder import EmbeddingsFolder, read_embeddings

PEERS = ("autofaiss==2.18.0", "embedding-reader==1.8.1", "numpy<2", "pyarrow<20")
PEER_SCRIPT = Path(__file__).with_name("autofaiss_peer.py")


def peer_python(venv: Path) -> Path:
    """The interpreter of a venv that has the peers; made where it is missing."""
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return python


def ask_peers(python: Path, folder: Path, result: Path) -> str:
    """Run the peers on a folder; returns what they found, or why they failed, in one line."""
    done = subprocess.run([str(python), str(PEER_SCRIPT), str(folder), str(result)], capture_output=True, text=True)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def compare(ours: EmbeddingsFolder, result: Path) -> None:
    """Print how the peers' rows and hits agree with ours."""
    found = np.load(result)
    vectors, hits = found["vectors"].astype(np.float32), found["hits"]
    exact = ours.rows(np.arange(len(ours.image_paths)))
    nearest = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")[:, : hits.shape[1]]
    overlap = np.mean([len({*a} & {*b}) / len(a) for a, b in zip(hits, nearest, strict=True)])
    itself = np.mean(hits[:, 0] == np.arange(len(vectors)))
    ours_too = np.mean((exact[hits[:, 0]] == vectors).all(axis=1))
    print(f"  autofaiss: {len(vectors)} of {len(exact)} rows; {overlap:.1%} of its hits are those of exact search")
    print(f"  a photo's vector finds its row: {itself:.1%} in autofaiss's order of rows, {ours_too:.1%} in ours")
    if "read_error" in found:
        print(f"  embedding-reader: {found['read_error']}")
        return
    row = {path: number for number, path in enumerate(ours.image_paths)}
    paths, paired = found["read_paths"].tolist(), found["read_vectors"].astype(np.float32)
    right = sum(np.array_equal(paired[i], exact[row[path]]) for i, path in enumerate(paths))
    lines_up = np.array_equal(paired, vectors)
    print(f"  embedding-reader: {len(paths)} of {len(exact)} rows, {right} with their photo's vector; ", end="")
    print(f"autofaiss's order: {lines_up}; ours: {paths == ours.image_paths}")


def write_list(file: Path, paths: list[Path]) -> Path:
    """A text file of paths."""
    file.write_text("".join(f"{path.resolve()}\n" for path in paths))
    return file


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--venv", type=Path, help="of autofaiss; made where it is missing, kept")
    options = parser.parse_args()
    model = mvmr_zoo.load()
    every = image_folder(options.folder).paths
    paths = [every[i] for i in np.random.default_rng(0).permutation(len(every))[: options.photos]]
    a_twelfth = -(-len(paths) // 12)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        python = peer_python(options.venv or work / "venv")
        lost = [work / f"{number}.jpg" for number in range(a_twelfth)]
        cases = {
            "one shard": (paths, len(paths)),
            "twelve shards": (paths, a_twelfth),
            "two shards, all of the first failed": (lost + paths[:a_twelfth], a_twelfth),
        }
        for number, (name, (listed, shard_rows)) in enumerate(cases.items()):
            source = open_source(write_list(work / f"{number}.txt", listed))
            embed_source(source, model, work / f"{number}", shard_rows=shard_rows)
            result = work / f"{number}.npz"
            print(f"{name}: {ask_peers(python, work / f'{number}', result)}", flush=True)
            if result.exists():
                compare(read_embeddings(work / f"{number}"), result)


if __name__ == "__main__":
    main()
