"""Mutated photos in eleven formats, through `index add` and `embed`."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.attack_kinds.arena import Arena, Try, problems, small_photos

TRIES = 1_000

_BATCH = 50
_HALVINGS = 40
"""Folders that are halved at most to find a photo. After that, a folder counts as one failure."""

_LONGEST_REASON = 400
_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
_EXTREMES = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0")

Random = np.random.Generator


class MutatedPhoto(NamedTuple):
    """A file to index.

    Args:
        name: Number, format and mutations.
        suffix: File name suffix of the format.
        content: File content.
    """

    name: str
    suffix: str
    content: bytes


def attack_photos(arena: Arena) -> Iterator[Try]:
    """Index and embed folders of mutated photos. A folder that fails is halved to find the photo."""
    photos = [mutated_photo(arena.random(number), number) for number in range(arena.tries or TRIES)]
    batches = [photos[at : at + _BATCH] for at in range(0, len(photos), _BATCH)]
    halvings = iter(range(_HALVINGS))
    return arena.each(lambda batch: _try_batch(arena, batch, ("index add", "embed"), halvings), batches)


def _try_batch(
    arena: Arena, batch: list[MutatedPhoto], commands: tuple[str, ...], halvings: Iterator[int]
) -> Iterator[Try]:
    folder = arena.place("photos", f"{batch[0].name}-{len(batch)}-{len(commands)}")
    photos = folder / "photos"
    photos.mkdir()
    for photo in batch:
        (photos / f"{photo.name}{photo.suffix}").write_bytes(photo.content)
    runs, found = {}, dict[str, list[str]]()
    for command in commands:
        output = ("-L", folder / "library") if command == "index add" else ("-o", folder / "vectors")
        runs[command] = arena.zoo(*command.split(), photos, *output)
        if runs[command].code == 0:
            for name, problem in _file_problems(folder, command):
                found.setdefault(name, []).append(problem)
    wrong = {command: problems(ran, arena.start_s) for command, ran in runs.items()}
    seconds, peak = (max(each) for each in zip(*((ran.seconds, ran.peak_bytes) for ran in runs.values()), strict=True))
    failing = tuple(command for command in commands if wrong[command])
    if failing and len(batch) > 1 and next(halvings, None) is not None:
        halves = batch[: len(batch) // 2], batch[len(batch) // 2 :]
        parts = [each for half in halves for each in _try_batch(arena, half, failing[:1], halvings)]
        slow = all(each.startswith(("took", "not ended")) for each in wrong[failing[0]])
        if slow or any(each.problems for each in parts):  # many photos may take long together
            yield from (
                each._replace(problems=tuple(dict.fromkeys([*each.problems, *found.get(each.name, ())])))
                for each in parts
            )
            return
    of_folder = [problem for command in failing for problem in wrong[command]]
    if of_folder and len(batch) > 1:
        of_folder = [f"one or more of {len(batch)} photos: {problem}" for problem in of_folder]
    for photo in batch:
        reproduce = runs[failing[0] if failing else commands[0]].shown
        yield Try(photo.name, (*found.get(photo.name, ()), *of_folder), seconds, peak, reproduce)
        of_folder = []


def _file_problems(folder: Path, command: str) -> Iterator[tuple[str, str]]:
    """Names of photos and what did not hold of them: each must have either a vector or a reason in one line."""
    outcome = library_outcome if command == "index add" else _embedded_outcome
    vectors, reasons = outcome(folder)
    for name in sorted(path.stem for path in (folder / "photos").iterdir()):
        if (name in vectors) == (name in reasons):
            yield name, f"{command}: neither or both of a vector and a reason"
        reason = reasons.get(name, "damaged")
        if not reason.strip() or len(reason) > _LONGEST_REASON or not reason.isprintable():
            yield name, f"{command}: the reason is not one line: {reason[:160]!r}"


def library_outcome(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Names of the photos in a library, and the reasons of its failures by name."""
    connection = sqlite3.connect(folder / "library" / "library.sqlite")
    photos = connection.execute("SELECT path FROM photos").fetchall()
    failures = connection.execute("SELECT path, reason FROM failures").fetchall()
    connection.close()
    return {_name(path) for (path,) in photos}, {_name(path): reason for path, reason in failures}


def _embedded_outcome(folder: Path) -> tuple[set[str], dict[str, str]]:
    """Names of the photos in an embeddings folder, and the reasons of its failures by name."""
    import pyarrow.parquet as pq

    names = [
        each for file in folder.glob("vectors/metadata/*") for each in pq.read_table(file)["image_path"].to_pylist()
    ]
    failures = [row for file in folder.glob("vectors/failures/*") for row in pq.read_table(file).to_pylist()]
    return {_name(each) for each in names}, {_name(row["image_path"]): row["reason"] for row in failures}


def _name(path: str | bytes) -> str:
    return Path(os.fsdecode(path)).stem


def mutated_photo(random: Random, number: int) -> MutatedPhoto:
    """A photo in one of the formats with one to three mutations."""
    form, (suffix, encode) = list(FORMATS.items())[number % len(FORMATS)]
    content = encode(_photo(random), random)
    names = []
    for _ in range(random.integers(1, 4)):
        name = list(MUTATIONS)[random.integers(len(MUTATIONS))]
        content = MUTATIONS[name](content, random)
        names.append(name)
    return MutatedPhoto("-".join([f"{number:04}", form, *names]), suffix, content)


def _photo(random: Random) -> Image.Image:
    photos = small_photos()
    photo = Image.fromarray(photos[random.integers(len(photos))])
    return photo.resize((int(random.integers(16, 240)), int(random.integers(16, 240))))


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _frames(image: Image.Image) -> list[Image.Image]:
    return [image.rotate(20 * turn) for turn in range(1, 4)]


def _mpo(image: Image.Image, random: Random) -> bytes:
    return _saved(image, "MPO", save_all=True, append_images=_frames(image)[:1])


def _png(image: Image.Image, random: Random) -> bytes:
    mode = ("RGB", "P", "L", "1", "RGBA", "LA")[random.integers(6)]
    return _saved(image.convert(mode), "PNG")


def _deep_or_animated_png(image: Image.Image, random: Random) -> bytes:
    if random.random() < 0.5:
        return _saved(image, "PNG", save_all=True, append_images=_frames(image))
    deep = np.asarray(image.convert("L"), np.uint16) * 257
    return _saved(Image.fromarray(deep), "PNG")


def _tiff(image: Image.Image, random: Random) -> bytes:
    return _saved(image, "TIFF", compression=_COMPRESSIONS[random.integers(len(_COMPRESSIONS))])


def _heic(image: Image.Image, random: Random) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=60)
    return file.getvalue()


FORMATS: dict[str, tuple[str, Callable[[Image.Image, Random], bytes]]] = {
    "jpeg": (".jpg", lambda image, _: _saved(image, "JPEG", exif=_exif())),
    "progressive": (".jpg", lambda image, _: _saved(image, "JPEG", progressive=True)),
    "mpo": (".jpg", _mpo),
    "png": (".png", _png),
    "apng": (".png", _deep_or_animated_png),
    "webp": (".webp", lambda image, random: _saved(image, "WEBP", lossless=bool(random.integers(2)))),
    "gif": (".gif", lambda image, _: _saved(image, "GIF", save_all=True, append_images=_frames(image))),
    "bmp": (".bmp", lambda image, _: _saved(image, "BMP")),
    "tiff": (".tiff", _tiff),
    "heic": (".heic", _heic),
    "avif": (".avif", lambda image, _: _saved(image, "AVIF", speed=10)),
}
"""The suffix and the encoder of each format."""


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 10:20:30"
    return exif


def _flip_bits(content: bytes, random: Random) -> bytes:
    data = bytearray(content)
    for at in random.integers(len(data), size=random.integers(1, 40)):
        data[at] ^= 1 << random.integers(8)
    return bytes(data)


def _truncate(content: bytes, random: Random) -> bytes:
    return content[: random.integers(1, len(content) + 1)]


def _duplicate(content: bytes, random: Random) -> bytes:
    first, last = sorted(random.integers(len(content), size=2))
    at = random.integers(len(content))
    return content[:at] + content[first:last] + content[at:]


def _edit_header(content: bytes, random: Random) -> bytes:
    data = bytearray(content)
    for at in random.integers(min(len(data), 400), size=random.integers(1, 6)):
        extreme = _EXTREMES[random.integers(len(_EXTREMES))]
        data[at : at + len(extreme)] = extreme
    return bytes(data)


def _concatenate(content: bytes, random: Random) -> bytes:
    _, encode = list(FORMATS.values())[random.integers(len(FORMATS))]
    other = encode(_photo(random), random)
    return content + other if random.random() < 0.5 else content[: len(content) // 2] + other


def _swap(content: bytes, random: Random) -> bytes:
    a, b, c, d = sorted(random.integers(len(content), size=4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


MUTATIONS: dict[str, Callable[[bytes, Random], bytes]] = {
    "bits": _flip_bits,
    "truncated": _truncate,
    "duplicated": _duplicate,
    "header": _edit_header,
    "concatenated": _concatenate,
    "swapped": _swap,
}
