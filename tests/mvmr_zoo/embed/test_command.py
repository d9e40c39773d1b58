"""`mvmr-zoo embed`, run as a command."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mvmr_zoo.checkpoint import Checkpoint
from mvmr_zoo.embed.folder import read_embeddings
from mvmr_zoo.models.catalog import DEFAULT_MODEL

from ...command_line import refused, run
from ...environment import clean_environment
from ...forked import LIGHT, run_forked
from .test_local_engine import content, write_list


def test_the_folder_it_makes(photo_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run("embed", photo_folder, "-o", out, "--shard-rows", 7, home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{out}: 12 of 12 images embedded, in 2 shards. 2 new.\n"
    found = read_embeddings(out)
    assert found.facts is not None
    assert found.facts.model == DEFAULT_MODEL
    again = run("embed", photo_folder, "-o", out, "--shard-rows", 7, "--strict", home=tmp_path)
    assert again.returncode == 0
    assert "The folder was already complete." in again.stdout


def test_failures_are_summed_up(photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint) -> None:
    out, tiny = tmp_path / "out", ("--model", checkpoint.folder)
    file = photo_folder / "p.parquet"
    pq.write_table(pa.table({"image_path": ["a/00.jpg", "gone.jpg", "lost.jpg"]}), file)
    done = run("embed", f"parquet:{file}", "-o", out, *tiny, home=tmp_path)
    assert done.returncode == 0
    assert "1 of 3 images embedded" in done.stdout
    assert done.stderr == f"2 failed (2 no such file). {out}/failures lists the files.\n"
    again = run("embed", f"parquet:{file}", "-o", out, *tiny, "--strict", home=tmp_path)
    assert again.returncode == 1
    assert "2 failed" in again.stderr


def test_folders_whose_names_are_not_text(photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint) -> None:
    odd = photo_folder.rename(tmp_path / os.fsdecode(b"\xe9t\xe9"))
    out, tiny = odd / "out", ("--model", checkpoint.folder)
    done = run("embed", odd, "-o", out, *tiny, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path}/\\xe9t\\xe9/out: 12 of 12 images")
    assert "already complete" in run("embed", odd, "-o", out, *tiny, home=tmp_path).stdout
    paths = read_embeddings(out).image_paths
    assert sorted(paths) == sorted(map(str, odd.rglob("*.jpg")))
    (odd / "a" / "00.jpg").unlink()
    refused(run("embed", odd, "-o", out, *tiny, home=tmp_path), f"12 inputs of {tmp_path}/\\xe9t\\xe9, now 11")


def test_a_disk_that_is_full_is_one_line(photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint) -> None:
    def little_room() -> None:  # a file of 1,500 bytes is the largest that can be written
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

    out, tiny = tmp_path / "out", ("--model", checkpoint.folder)
    refused(run("embed", photo_folder, "-o", out, *tiny, home=tmp_path, preexec_fn=little_room), "File too large")
    assert not list(out.rglob("*.npy")) + list(out.rglob(".*.part"))
    assert run("embed", photo_folder, "-o", out, *tiny, home=tmp_path).returncode == 0
    assert len(read_embeddings(out).image_paths) == 12


def test_commands_that_cannot_run(photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint) -> None:
    out = tmp_path / "out"
    refused(run("embed", tmp_path / "nowhere", "-o", out, home=tmp_path), "does not exist")
    refused(run("embed", photo_folder / "a" / "00.jpg", "-o", out, home=tmp_path), "is not a list of paths")
    refused(run("embed", photo_folder, "-o", photo_folder, home=tmp_path), "but no plan.json")
    refused(run("embed", photo_folder, "-o", out, "--model", "no-such-model", home=tmp_path), "no-such-model")
    assert not out.exists()
    assert run("embed", photo_folder, "-o", out, home=tmp_path).returncode == 0
    refused(
        run("embed", photo_folder, "-o", out, "--model", checkpoint.folder, home=tmp_path), "was created with the model"
    )
    refused(run("embed", photo_folder, "-o", out, "--shard-rows", 3, home=tmp_path), "--shard-rows 100000, not 3")


KILLED = """
import os, pathlib, signal, sys, threading, time
from mvmr_zoo.cli import main

def kill():
    while not goal.exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

goal = pathlib.Path(sys.argv.pop(1))
threading.Thread(target=kill, daemon=True).start()
main()
"""
"""A command that kills itself, wherever it is, when a file exists. Another process could be too late on busy cores."""


def test_killed_and_run_again_it_gives_the_same_files(
    photo_folder: Path, tmp_path: Path, checkpoint: Checkpoint
) -> None:
    names = ["a/00.jpg", "b/01.jpg", "gone.jpg", "a/02.jpg", "b/03.jpg"]
    arguments = ["embed", write_list(photo_folder, names * 50), "--model", checkpoint.folder, "--shard-rows", 10]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for number in (1, 6, 12):
        goal = killed / "img_emb" / f"img_emb_{number:02}.npy"
        words = ["-c", KILLED, *map(str, [goal, *arguments, "-o", killed])]
        assert run_forked(words, clean_environment(tmp_path), LIGHT).returncode == -signal.SIGKILL
        assert goal.exists()
        assert not (killed / "manifest.json").exists()
    stamps = {p: p.stat().st_mtime_ns for p in killed.glob("img_emb/img_emb_*.npy")}
    done = run(*arguments, "-o", killed, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps  # finished shards were left alone
    assert run(*arguments, "-o", whole, home=tmp_path).returncode == 0
    assert content(killed) == content(whole)


def test_the_output_of_the_model(photo_folder: Path, tmp_path: Path, aligned_checkpoint: Checkpoint) -> None:
    out, spec = tmp_path / "out", aligned_checkpoint.folder
    asked = ("--model", spec, "--model-output", "aligned", "--dim", 20)
    assert run("embed", photo_folder, "-o", out, *asked, home=tmp_path).returncode == 0
    facts = read_embeddings(out).facts
    assert facts is not None
    assert (facts.output, facts.dim) == ("aligned", 20)
    refused(run("embed", photo_folder, "-o", out, "--model", spec, home=tmp_path), "aligned, 20 dimensions, not ")
    refused(
        run("embed", photo_folder, "-o", out, "--output", "aligned", home=tmp_path),
        "--output is aligned; expected a path. Use --model-output aligned.",
    )
