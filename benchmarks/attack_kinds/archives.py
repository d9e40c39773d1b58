"""Crafted and damaged tar files through `mvmr-zoo unbundle`."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.attack_kinds.arena import STOP_S, Arena, Try, written_files
from benchmarks.attack_kinds.checkpoints import tiny_checkpoint
from benchmarks.attack_kinds.photos import MUTATIONS

TRIES = 40
"""Damaged archives, besides the crafted ones."""


def attack_archives(arena: Arena) -> Iterator[Try]:
    """Unbundle each archive into an empty zoo of its own. Nothing may be left there, or be written elsewhere."""
    folder = arena.place("archives")
    bundle = folder / "valid.tar"
    made = arena.zoo("bundle", tiny_checkpoint(arena), "-o", bundle, stop_s=120)
    if made.code:
        raise SystemExit(f"`mvmr-zoo bundle` fails on a plain model: {made.stderr or made.stopped}")
    plain = arena.zoo("unbundle", bundle, home=arena.place("archives", "plain"), stop_s=120)
    if plain.code:
        raise SystemExit(f"`mvmr-zoo unbundle` fails on a plain bundle: {plain.stderr or plain.stopped}")
    valid = bundle.read_bytes()
    archives = {name: make() for name, make in CRAFTED.items()} | {
        "second-folder": _appended(valid, header("other/config.json", 4)),
        "in-gzip": gzip.compress(valid),
    }
    for number in range(arena.tries or TRIES):
        random = arena.random(2, number)
        name = list(MUTATIONS)[random.integers(len(MUTATIONS))]
        archives[f"{number:03}-{name}"] = MUTATIONS[name](valid, random)
    return arena.each(lambda name: _unbundle(arena, name, archives[name], len(valid), plain.seconds), archives)


def _unbundle(arena: Arena, name: str, content: bytes, valid_size: int, start_s: float) -> Iterator[Try]:
    home = arena.place("archives", name)
    file = home / "a.tar"
    file.write_bytes(content)
    ran = arena.zoo("unbundle", file, home=home, stop_s=start_s + STOP_S)
    written = written_files(home) - {file.name}
    more = []
    if ran.code == 2 and written:
        more.append(f"it was refused, but left {sorted(written)[:3]}")
    outside = [path for path in written if not path.startswith(".cache/mvmr_zoo/tiny/")]
    if ran.code == 0 and outside:
        more.append(f"it wrote {outside[:3]}")
    damaged = name[:3].isdecimal() and valid_size <= len(content)  # a mutation may hit only padding
    yield arena.judged(name, ran, codes=(0, 2) if damaged else (2,), more=more, start_s=start_s)


def _appended(valid: bytes, member: bytes) -> bytes:
    """A tar file with one more member before its end."""
    end = -(-len(valid.rstrip(b"\0")) // 512) * 512
    return valid[:end] + member + bytes(512) + valid[end:]


def header(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "", form: int = tarfile.GNU_FORMAT
) -> bytes:
    """The header of a member, whatever its size says."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info.tobuf(form)


def _pax(values: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("tiny/config.json")
        info.pax_headers, info.size = values, 4
        tar.addfile(info, io.BytesIO(b"evil"))
    return file.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    content = b"evil".ljust(512, b"\0") if kind == tarfile.REGTYPE else b""
    return header(name, 4 if content else 0, kind, link) + content + bytes(1024)


def _sparse(count: int) -> bytes:
    """An old GNU sparse header that claims a size of 2**40 in a file without data."""
    data = bytearray(header("tiny/model.safetensors", 0, tarfile.GNUTYPE_SPARSE))
    for number in range(4):
        data[386 + 24 * number : 410 + 24 * number] = b"%011o\0%011o\0" % (number << 20, 0)
    data[482] = 1 if count else 0
    data[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:]))
    more = b"".join(b"%011o\0%011o\0" % (number, 0) for number in range(21)) + b"\1" + bytes(7)
    return bytes(data) + more * count + bytes(1024)


CRAFTED: dict[str, Callable[[], bytes]] = {
    "negative-size": lambda: header("tiny/config.json", -1024) + bytes(1024),
    "negative-second-size": lambda: header("tiny/config.json", 4) + bytes(512) + header("tiny/graph.onnx", -1024),
    "claims-a-terabyte": lambda: header("tiny/config.json", 1 << 40) + bytes(1024),
    "long-name-of-a-terabyte": lambda: header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME) + bytes(1024),
    "long-name-of-negative-size": lambda: header("././@LongLink", -512, tarfile.GNUTYPE_LONGNAME) + bytes(1024),
    "long-names": lambda: header("././@LongLink", 0, tarfile.GNUTYPE_LONGNAME) * 5_000,
    "long-name-of-200-mb": lambda: (
        header("././@LongLink", 200_000_000, tarfile.GNUTYPE_LONGNAME) + b"a" * 200_000_000 + header("x")
    ),
    "long-link": lambda: header("././@LongLink", 4, tarfile.GNUTYPE_LONGLINK) + bytes(512) * 2,
    "sparse": lambda: _sparse(0),
    "sparse-of-many-blocks": lambda: _sparse(100_000),
    "pax-size": lambda: _pax({"size": "99999999999999999999"}),
    "pax-negative-size": lambda: _pax({"size": "-1024"}),
    "pax-path": lambda: _pax({"path": "../../escaped"}),
    "pax-sparse": lambda: _pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 15}),
    "pax-length": lambda: header("x", 40, tarfile.XHDTYPE) + b"999999999999 path=a\n".ljust(512, b"\0") + bytes(1024),
    "pax-chain": lambda: (header("x", 0, tarfile.XHDTYPE)) * 20_000,
    "escape-characters": lambda: _member("tiny/\x1b]0;owned\x07\x1b[31m.json"),
    "symbolic-link": lambda: _member("tiny/head.safetensors", tarfile.SYMTYPE, "/etc/passwd"),
    "hard-link": lambda: _member("tiny/head.safetensors", tarfile.LNKTYPE, "/etc/passwd"),
    "link-to-folder": lambda: _member("tiny", tarfile.SYMTYPE, "/tmp") + _member("tiny/config.json"),
    "absolute": lambda: _member("/tmp/escaped.json"),
    "parent": lambda: _member("tiny/../../escaped.json"),
    "parent-folder": lambda: _member("../config.json"),
    "device": lambda: _member("tiny/config.json", tarfile.CHRTYPE),
    "block-device": lambda: _member("tiny/config.json", tarfile.BLKTYPE),
    "pipe": lambda: _member("tiny/config.json", tarfile.FIFOTYPE),
    "folder-as-file": lambda: _member("tiny/config.json", tarfile.DIRTYPE),
    "many-members": lambda: (header("tiny/config.json", 4) + bytes(512)) * 20_000,
    "many-folders": lambda: b"".join(header(f"a{number}/config.json") for number in range(20_000)),
    "empty": lambda: b"",
    "zeros": lambda: bytes(10_240),
    "gzip-bomb": lambda: gzip.compress(header("tiny/config.json", 200_000_000) + bytes(200_000_000)),
    "noise": lambda: np.random.default_rng(0).bytes(100_000),
}
"""Archives by name. None is a bundle."""
