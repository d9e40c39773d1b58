"""The command line: what it refuses, in which words, and what it prints about a run."""

from __future__ import annotations

import csv
import os
import pty
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from mvmr_zoo.checkpoint import read_checkpoint
from training import cli, runs
from training.callbacks.progress import Progress
from training.config import DataConfig, DistillConfig, PretrainConfig, RunConfig
from training.finish import data_names, training_record

from ..command_line import refused
from ..environment import clean_environment

REQUIRED = "--data.train=/photos --run.output=/output --run.name=mine"
SMALL = (
    "--data.held_out 0.2 --data.workers 0 --run.name mine --views.sizes '[{start: 0, px: 32}]' --views.encoder_px 32 "
    "--student.architecture resnet8 --student.projector '[32, 32]' --optim.batch_size 8 --optim.warmup 0"
)


def answer(capfd: pytest.CaptureFixture[str], line: str, command: str = "distill") -> subprocess.CompletedProcess[str]:
    """What a command line prints, in this process."""
    capfd.readouterr()
    words = shlex.split(line)
    return subprocess.CompletedProcess(words, cli.main(command, None, words), *capfd.readouterr())


@pytest.fixture
def never_runs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Commands end after their options are read; gives the configurations."""
    made: list[Any] = []
    for name in cli.COMMANDS:
        monkeypatch.setattr(runs, name, lambda config, **_: made.append(config))  # only the parsed options matter here
    return made


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--optim.peak_lr fast", "optim.peak_lr is 'fast'; expected a number."),
        ("--optim.batch_size 3.5", "optim.batch_size is 3.5; expected a whole number."),
        ("--optim.name lion", "optim.name is 'lion'; expected one of adam, adamw, sgd."),
        ("--trainer.compile maybe", "trainer.compile is 'maybe'; expected true or false."),
        ("--data.limit=all", "data.limit is 'all'; expected null or a whole number."),
        ("--optim.clip_norm x", "optim.clip_norm is 'x'; expected null or a number."),
        ("--student.projector wide", "student.projector is 'wide'; expected a list of whole numbers."),
        ("--student.projector '[64, wide]'", "student.projector[1] is 'wide'; expected a whole number."),
        ("--views.mean '[1, 2]'", "views.mean is [1, 2]; expected a list of 3 numbers."),
        ("--views.sizes '[96]'", "views.sizes[0] is 96; expected {start, px}."),
        ("--views.sizes '[{start: 0}]'", "views.sizes[0] has no px; expected {start, px}."),
        ("--views.second '{policy: x}'", "views.second.policy is 'x'; expected one of paper, cifar, cifar20."),
        ("--optim.epoch 3", "There is no option --optim.epoch. Closest: --optim.epochs."),
        ("--optim.peak-lr 3", "There is no option --optim.peak-lr. Closest: --optim.peak_lr."),
        ("--allow-config-change", "There is no option --allow-config-change. Closest: --allow_config_change."),
        ("--optim.epochs", "--optim.epochs needs a value: a number."),
        ("--optim 3", "--optim names a section. Pass its options one by one, as `--optim.OPTION VALUE`."),
        ("--resume=yes", "--resume takes no value, but 'yes' was given."),
        ("photos", "Unexpected argument 'photos'. Options are written `--section.option value`."),
        ("--config missing.yaml", "--config cannot be read. missing.yaml: No such file or directory."),
        ("--run.name resnet50-imagenet", "run.name is resnet50-imagenet; expected a name that is not in the catalog"),
    ],
)
def test_a_wrong_command_line_is_refused_in_words(
    capfd: pytest.CaptureFixture[str], never_runs: list[Any], line: str, message: str
) -> None:
    refused(answer(capfd, f"{REQUIRED} {line}"), f"Error: {message}")
    assert not never_runs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim: {peak_lr: fast}", ": optim.peak_lr is 'fast'; expected a number."),
        ("run: {name: 7}", ": run.name is 7; expected text. Put quotes around it: '7'."),
        ("data: {train: [1]}", ": data.train[0] is 1; expected text. Put quotes around it: '1'."),
        ("data: 5", ": data is 5; expected options, such as `data: {train: ...}`."),
        ("optim: {epochz: 3}", ": optim has no option epochz. Closest: epochs."),
        ("optimizer: {epochs: 3}", ": no section is named optimizer. Closest: optim."),
        ("views: {sizes: [{start: 0, px: big}]}", ": views.sizes[0].px is 'big'; expected a whole number."),
        ("optim: {epochs: 3\ndata: 4", ", line 2 is not YAML: did not find expected ',' or '}'."),
        ("optim:\n\tepochs: 3", ", line 2: the line starts with a tab. Indent with spaces."),
        ("- a", " does not map options to values; expected YAML, for example `optim: {epochs: 10}`."),
        ("", " is empty; expected YAML, for example `optim: {epochs: 10}`."),
    ],
)
def test_a_wrong_file_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], never_runs: list[Any], text: str, message: str
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    refused(answer(capfd, f"{REQUIRED} --config {path}"), f"Error: {path}{message}")


@pytest.mark.parametrize("option", ["--config {}", "--config={}"])
def test_a_pipe_is_refused_as_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], never_runs: list[Any], option: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    message = f"Error: --config cannot be read. {tmp_path / 'pipe'}: it is not a regular file."
    refused(answer(capfd, f"{REQUIRED} {option.format(tmp_path / 'pipe')}"), message)


def test_a_file_that_is_no_text_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], never_runs: list[Any]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    refused(answer(capfd, f"{REQUIRED} --config {path}"), f"{path} is not UTF-8 text; expected a YAML file.")


def test_missing_options_are_named_with_what_to_add(capfd: pytest.CaptureFixture[str], never_runs: list[Any]) -> None:
    refused(answer(capfd, ""), "data.train, run.output and run.name are not given. Add --data.train TRAIN --run.output")
    refused(answer(capfd, "--data.train A --run.output B"), "run.name is not given. Add --run.name NAME, or set it in")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_a_printed_configuration_is_read_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], never_runs: list[Any], command: str
) -> None:
    given = f"{REQUIRED} --data.train '[A, B]' --optim.peak_lr 0.02" + (
        " --student.start_from resnet18-imagenette" if command == "finetune" else ""
    )
    with pytest.raises(SystemExit) as ended:
        answer(capfd, f"{given} --print_config", command)
    assert ended.value.code == 0
    path = tmp_path / "run.yaml"
    path.write_text(capfd.readouterr().out, encoding="utf-8")
    assert answer(capfd, f"--config {path}", command).returncode == 0
    assert answer(capfd, given, command).returncode == 0
    first, second = never_runs
    assert first == second
    assert first.data.sources == ("A", "B")
    assert first.optim.peak_lr == 0.02


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_names_types_in_words(capfd: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit):
        answer(capfd, "--help", command)
    shown = " ".join(capfd.readouterr().out.split())
    assert "--optim.peak_lr PEAK_LR Learning rate after the warm-up. (type: a number, default: 0.001)" in shown
    assert "required, type: text or a list of texts" in shown
    for noise in ("<class", "Literal[", "tuple[", "Path to a configuration file", "See `", "Show the help for"):
        assert noise not in shown


@pytest.mark.parametrize("module", ["pretrain", "distill", "finetune", "push"])
def test_help_is_shown_without_pytorch_and_lightning(module: str, tmp_path: Path) -> None:
    """In a fresh process, in which both cannot be imported. They take seconds to import."""
    script = (
        "import runpy, sys\n"
        "sys.modules['torch'] = sys.modules['pytorch_lightning'] = sys.modules['lightning_fabric'] = None\n"
        f"sys.argv = ['{module}', '--help']\n"
        f"runpy.run_module('training.{module}', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=clean_environment(tmp_path), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert ("--repo" if module == "push" else "--optim.peak_lr") in done.stdout


def run_small(photos: Path, output: Path, more: str = "") -> str:
    return f"--data.train {photos} --run.output {output} {SMALL} --optim.epochs 2 {more}"


def test_a_run_without_a_terminal_is_followed_by_lines(
    tmp_path: Path, photos: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = answer(capfd, run_small(photos, tmp_path, "--monitor.every_steps 1000"), "pretrain")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"Opening {photos}"
    assert lines[1] == "24 images of 2 classes: 20 to train on, 4 held out"
    assert lines[2].startswith("Training 4 steps of 8 images on ")
    assert lines[3].startswith("Step 1 of 4: loss ")
    assert lines[4].startswith("Step 2: k-NN accuracy ")
    assert lines[4].endswith(" (4 held-out images, 20 training images, 32 px)")
    assert lines[5].startswith("Step 4 of 4: loss ")
    assert lines[5].endswith(" images/s, done")
    assert lines[6].startswith("Step 4: k-NN accuracy ")
    assert lines[7].startswith("Trained to step 4 in ")
    assert lines[7].endswith(f"Metrics: {tmp_path}/logs/version_0/metrics.csv")
    assert lines[8:] == [
        f"Writing {tmp_path / 'mine'}",
        str(tmp_path / "mine"),
        f"Try it: mvmr-zoo index add PHOTOS --model {tmp_path / 'mine'}",
    ]
    with (tmp_path / "logs" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["loss/total"]] == ["1", "4"]
    assert [row["step"] for row in rows if row["linear/loss"]] == ["1", "4"]

    finished = answer(capfd, run_small(photos, tmp_path, "--resume"), "pretrain")
    assert finished.returncode == 0
    assert finished.stdout == (
        f"This run has finished. Its result is in {tmp_path / 'mine'}. To train longer, raise optim.epochs and add "
        "--allow_config_change.\n"
    )
    assert answer(capfd, run_small(photos, tmp_path, "--resume --optim.epochs 3"), "pretrain").stdout == finished.stdout
    same = answer(capfd, run_small(photos, tmp_path, "--resume --allow_config_change"), "pretrain")
    assert (same.returncode, same.stdout.splitlines()[-1:]) == (0, finished.stdout.splitlines())

    before = read_checkpoint(tmp_path / "mine").config
    assert before.metrics["held_out/knn-v1"].images == 4
    longer = answer(capfd, run_small(photos, tmp_path, "--resume --allow_config_change --optim.epochs 3"), "pretrain")
    assert longer.returncode == 0, longer.stderr
    assert "Resuming with another configuration: optim.epochs: 2.0 before, 3.0 now" in longer.stdout
    assert f"Resuming from step 4 ({tmp_path / 'last.ckpt'})" in longer.stdout
    assert "Training 2 steps of 8 images on " in longer.stdout
    after = read_checkpoint(tmp_path / "mine").config
    assert (before.training["optim"]["epochs"], after.training["optim"]["epochs"]) == (2, 3)


class Terminal:
    """A command in a pseudo terminal, as a person sees it."""

    def __init__(self, line: str) -> None:
        main, side = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40", "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "training.pretrain", *shlex.split(line)]
        self.process = subprocess.Popen(words, stdin=side, stdout=side, stderr=side, env=environment, close_fds=True)
        os.close(side)
        self.text = ""
        self._reader = threading.Thread(target=self._read, args=(main,), daemon=True)
        self._reader.start()

    def _read(self, main: int) -> None:
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # how Linux says that the other side is closed
                part = b""
            if not part:
                os.close(main)
                return
            self.text += part.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        until = time.monotonic() + 120
        while text not in self.text:
            assert time.monotonic() < until, self.text
            assert self._reader.is_alive() or text in self.text, self.text
            time.sleep(0.05)

    def ended(self) -> int:
        code = self.process.wait(120)
        self._reader.join(60)
        return code


def test_on_a_terminal_a_bar_is_drawn_and_ctrl_c_keeps_the_work(tmp_path: Path, photos: Path) -> None:
    command = run_small(photos, tmp_path, "--optim.epochs 100000 --data.workers 1")
    run = Terminal(command)
    run.wait_for("starting 1 workers")
    run.wait_for("images/s, ")
    run.wait_for("(4 held-out images, 20 training images")
    run.process.send_signal(signal.SIGINT)
    assert run.ended() == 130, run.text
    assert run.text.replace("\r", "").endswith("Stopped. Run the same command with --resume to continue.\n")
    assert "Stopping after this step." in run.text
    assert "Traceback" not in run.text
    assert (tmp_path / "last.ckpt").exists()
    for line in run.text.replace("\r", "").split("\n"):  # a bar is erased before a line is printed
        if "Step 2: k-NN" in line:
            assert line.endswith("32 px)")
            assert "images/s" not in line.rsplit("\x1b[2K", 1)[-1]


def test_only_the_first_process_shows_progress(capfd: pytest.CaptureFixture[str]) -> None:
    class Other:
        is_global_zero = False
        global_step = 1

    shown = Progress(8, 0)
    shown.on_train_start(Other(), Other())  # type: ignore[arg-type]
    shown.on_train_batch_end(Other(), Other(), None)  # type: ignore[arg-type]
    shown.on_train_end(Other(), Other())  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


def test_the_parser_holds_every_option() -> None:
    options = cli.parser(DistillConfig, None)._option_string_actions
    assert {"--data.train", "--teacher.cache.dtype", "--loss.similarity", "--views.augment.gray"} <= options.keys()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"train": "/home/someone/Photos"}, ("Photos",)),
        ({"train": "/data/imagenette/train"}, ("imagenette",)),
        (
            {"train": ("/home/someone/Photos", "stl10:train+unlabeled", "parquet:/data/birds.parquet#label")},
            ("Photos", "stl10", "birds"),
        ),
        ({"train": "/home/someone/Photos", "name": "our photos"}, ("our photos",)),
    ],
)
def test_the_card_names_the_data_and_no_folder_of_this_machine(given: dict[str, Any], name: tuple[str, ...]) -> None:
    config = PretrainConfig(data=DataConfig(**given), run=RunConfig(output="runs", name="mine"))
    assert data_names(config) == name
    assert "someone" not in str(training_record(config))
