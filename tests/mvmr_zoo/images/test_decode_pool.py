"""The pool with real processes, which `decode_process.py` and `decode_worker.py` implement."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from mvmr_zoo.datasets.samples import photographs
from mvmr_zoo.errors import ImageError, MvmrError
from mvmr_zoo.images import Cancellation, DecodePool, PhotoFile, Preprocess, decode_process
from mvmr_zoo.images import decode as images
from mvmr_zoo.images.decode import decode_photo

PREPROCESS = Preprocess(resize_px=40, crop_px=32)


@pytest.fixture(scope="module")
def shared_pool() -> Iterator[DecodePool]:
    pool = DecodePool(2)
    yield pool
    pool.close()


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    pool = DecodePool(1)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    (path,) = (path for path in photographs() if path.stem == "chelsea")
    return Image.open(path).convert("RGB")


def slow_jpeg() -> bytes:
    """A progressive JPEG with as many scans as are accepted, which take several seconds."""
    buffer = io.BytesIO()
    Image.effect_noise((2_000, 2_000), 60).save(buffer, "JPEG", progressive=True, quality=60)
    photo = buffer.getvalue()
    last = photo.rindex(b"\xff\xda")
    return photo[:last] + photo[last:-2] * 230 + photo[-2:]


def large_webp() -> bytes:
    """A lossless WebP of one color, 16,383 x 10,900 pixels in 34 bytes."""
    header = 0x2F | (16_383 - 1) << 8 | (10_900 - 1) << 22
    chunk = header.to_bytes(5, "little") + bytes([0x88, 0x88, 0x08]) + bytes(6)
    return b"RIFF" + (12 + len(chunk)).to_bytes(4, "little") + b"WEBPVP8L" + len(chunk).to_bytes(4, "little") + chunk


def pid_of(pool: DecodePool) -> int:
    return pool._idle[-1]._process.pid


def reason(pool: DecodePool, photo: PhotoFile, **options) -> str:
    with pytest.raises(ImageError) as caught:
        pool.decode(photo, **options)
    assert caught.value.path == photo.path
    return caught.value.reason


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".heic", ".avif"])
def test_pixels_and_facts_equal_those_of_this_process(
    suffix: str, shared_pool: DecodePool, photograph: Image.Image, tmp_path: Path
) -> None:
    images._prepare_pillow()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2021:07:05 12:13:14"
    path = tmp_path / f"photo{suffix}"
    photograph.save(path) if suffix == ".gif" else photograph.save(path, exif=exif)
    content = path.read_bytes()
    here = decode_photo("photo", content, min_px=80)
    assert here is not None
    for photo in (PhotoFile(os.fspath(path)), PhotoFile("sent", content)):
        cropped = shared_pool.decode(photo, min_px=80, crop=PREPROCESS, with_hash=True)
        np.testing.assert_array_equal(cropped.pixels, np.asarray(PREPROCESS.crop(here.image)))
        assert cropped.facts == (here.width, here.height, here.taken, hashlib.sha256(content).digest())
        whole = shared_pool.photo(photo, min_px=80)
        assert (whole.width, whole.height, whole.taken) == (here.width, here.height, here.taken)
        np.testing.assert_array_equal(np.asarray(whole.image), np.asarray(here.image))


def test_a_relative_path_and_an_unusual_name(
    shared_pool: DecodePool, photograph: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = os.fsdecode(b"a\xff\n b.png")
    photograph.save(tmp_path / "plain.png")
    (tmp_path / "plain.png").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert shared_pool.decode(PhotoFile(name)).pixels.shape == (300, 451, 3)


def test_color_profile(shared_pool: DecodePool, photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(tmp_path / "a.png", icc_profile=b"profile" * 10)
    photograph.save(tmp_path / "b.jpg", icc_profile=bytes(3_000_000))
    assert shared_pool.photo(PhotoFile(os.fspath(tmp_path / "a.png"))).image.info["icc_profile"] == b"profile" * 10
    assert "icc_profile" not in shared_pool.photo(PhotoFile(os.fspath(tmp_path / "b.jpg"))).image.info


def test_bad_files(shared_pool: DecodePool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(shared_pool, PhotoFile(os.fspath(tmp_path / "none.jpg"))) == "no such file"
    assert "not a regular file" in reason(shared_pool, PhotoFile(os.fspath(tmp_path / "pipe.jpg")))
    assert reason(shared_pool, PhotoFile("text", b"not a photo")) == "not an image in a known format"
    assert reason(shared_pool, PhotoFile("known", problem="unreadable folder")) == "unreadable folder"


def test_a_photo_that_needs_much_memory(shared_pool: DecodePool, photograph: Image.Image) -> None:
    """It took 5.5 GB."""
    assert reason(shared_pool, PhotoFile("bomb.webp", large_webp())).endswith(
        "needs more than 1,074 MB of memory to decode"
    )
    buffer = io.BytesIO()
    photograph.save(buffer, "PNG")
    assert shared_pool.decode(PhotoFile("next", buffer.getvalue())).pixels.shape == (300, 451, 3)


def test_a_photo_that_takes_long() -> None:
    """It took ten minutes."""
    pool = DecodePool(1, cpu_s=0.5)
    try:
        assert reason(pool, PhotoFile("bomb.jpg", slow_jpeg())) == "took longer than 0.5 seconds to decode"
    finally:
        pool.close()


def test_large_photos_wait_for_each_other(photograph: Image.Image) -> None:
    buffer = io.BytesIO()
    photograph.save(buffer, "PNG")
    photo = PhotoFile("large", buffer.getvalue())
    pool = DecodePool(1, small_bytes=1_000_000, large_wait_s=0)
    try:
        assert pool.decode(photo).pixels.shape == (300, 451, 3)
        with pool._turn.taken():
            assert reason(pool, photo) == "other large photos are being decoded; try again later"
    finally:
        pool.close()


def test_libraries_write_nothing_to_the_terminal(
    shared_pool: DecodePool, photograph: Image.Image, capfd: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    photograph.save(buffer, "TIFF", compression="jpeg")
    damaged = bytearray(buffer.getvalue())
    damaged[2_000:2_100] = bytes(100)
    reason(shared_pool, PhotoFile("damaged.tif", bytes(damaged[:20_000])))
    assert capfd.readouterr() == ("", "")


def test_a_process_that_was_killed_is_replaced(pool: DecodePool, photograph: Image.Image) -> None:
    buffer = io.BytesIO()
    photograph.save(buffer, "PNG")
    photo = PhotoFile("photo", buffer.getvalue())
    pool.decode(photo)
    first = pid_of(pool)
    os.kill(first, signal.SIGKILL)
    pool.decode(photo)
    assert pid_of(pool) != first


def test_a_crash_fails_its_photo_only(pool: DecodePool, photograph: Image.Image) -> None:
    buffer = io.BytesIO()
    photograph.save(buffer, "PNG")
    photo = PhotoFile("photo", buffer.getvalue())
    pool.decode(photo)
    process = pid_of(pool)
    crash = threading.Thread(target=lambda: (wait_until_busy(process), os.kill(process, signal.SIGSEGV)))
    crash.start()
    assert reason(pool, PhotoFile("bomb.jpg", slow_jpeg())) == "damaged: the decoder crashed"
    crash.join()
    pool.decode(photo)


def wait_until_busy(process: int) -> None:
    """Wait until a process has computed for a while."""

    def ticks() -> int:
        return int(Path(f"/proc/{process}/stat").read_text().split()[13])

    before, deadline = ticks(), time.monotonic() + 60
    while ticks() < before + 10 and time.monotonic() < deadline:
        time.sleep(0.01)


def test_cancellation(pool: DecodePool, photograph: Image.Image) -> None:
    buffer = io.BytesIO()
    photograph.save(buffer, "PNG")
    photo = PhotoFile("photo", buffer.getvalue())
    pool.decode(photo)
    cancellation, process = Cancellation(), pid_of(pool)
    other = threading.Thread(target=lambda: (wait_until_busy(process), cancellation.cancel()))
    other.start()
    assert reason(pool, PhotoFile("bomb.jpg", slow_jpeg()), cancellation=cancellation) == "canceled"
    other.join()
    assert reason(pool, photo, cancellation=cancellation) == "canceled"
    pool.decode(photo)


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense",
        "[]",
        '{"shape": [90000, 90000], "profile": 0, "width": 1, "height": 1, "taken": null, "sha256": ""}',
        '{"shape": [2, 2], "profile": -1, "width": 1, "height": 1, "taken": null, "sha256": ""}',
        '{"shape": [2, 2], "profile": 0, "width": 1, "height": 1, "taken": null, "sha256": ""}',
    ],
)
def test_answers_are_checked(answer: str, pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_process, "_START", f"import sys; sys.stdin.readline(); print({answer!r}, flush=True)")
    with pytest.raises((ImageError, MvmrError), match=r"[Tt]he process that decodes"):
        pool.decode(PhotoFile("photo", b"x"))


def test_a_process_that_cannot_start(pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_process, "_START", "import sys; sys.exit(3)")
    with pytest.raises(MvmrError, match=r"ended with exit code 3"):
        pool.decode(PhotoFile("photo", b"x"))
