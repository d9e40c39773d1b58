"""Small files that claim or unpack to much: photos and weights, each written by hand."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image

from benchmarks.attack_kinds.photos import FORMATS

SIDE = 13_300
"""A square of this side is below the limit of commands, 179 megapixels."""

PAGE_SIDE = 7_700
"""A square of this side is below the limit of the page, 60 megapixels."""


def progressive_jpeg(width: int, height: int, scans: int) -> bytes:
    """A JPEG whose header claims a size, with its first scan repeated."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 30)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    frame, first = data.index(b"\xff\xc2"), data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    tables = data.index(b"\xff\xc4", first)
    size = struct.pack(">HH", height, width)
    return data[: frame + 5] + size + data[frame + 9 : first] + data[first : min(tables, second)] * scans + b"\xff\xd9"


def webp(width: int, height: int) -> bytes:
    """A lossless WebP of one color, in which a pixel takes no bit."""
    bits = [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1), (0, 3), (0, 1), (0, 1), (0, 1)]
    bits += [(1, 1), (0, 1), (1, 1), (120, 8)] * 4 + [
        (1, 1),
        (0, 1),
        (0, 1),
        (0, 1),
    ]  # green, red, blue, alpha, distance
    value = shift = 0
    for number, size in bits:
        value |= number << shift
        shift += size
    stream = value.to_bytes((shift + 7) // 8, "little")
    return _riff(b"VP8L" + struct.pack("<I", len(stream)) + stream + b"\0" * (len(stream) % 2))


def webp_with_profile(size: int) -> bytes:
    """A WebP with a color profile of this size."""
    image = webp(64, 64)[12:]
    extended = struct.pack("<I", 0x20) + (63).to_bytes(3, "little") * 2
    return _riff(b"VP8X" + struct.pack("<I", 10) + extended + b"ICCP" + struct.pack("<I", size) + bytes(size) + image)


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg_with_profile() -> bytes:
    """A JPEG with the largest color profile that its format allows, 16.7 MB."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "JPEG")
    part, data = bytes(65_519), file.getvalue()
    parts = [b"\xff\xe2\xff\xffICC_PROFILE\0" + bytes((number, 255)) + part for number in range(1, 256)]
    return data[:2] + b"".join(parts) + data[2:]


def png(width: int, height: int, *, depth: int = 1, color: int = 0, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """A PNG of zeros.

    Args:
        width: In pixels.
        height: In pixels.
        depth: Bits of a channel.
        color: Color type: 0 gray, 6 RGBA.
        more: Kinds and contents of chunks before the pixels.
    """
    row = 1 + (width * depth * {0: 1, 6: 4}[color] + 7) // 8
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in ((b"IHDR", header), *more, (b"IDAT", zeros(row * height)), (b"IEND", b"")):
        parts += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))]
    return b"".join(parts)


def zeros(size: int) -> bytes:
    """A zlib stream of zeros, made without compressing all of them."""
    pack, block = zlib.compressobj(9), 1 << 20
    start = pack.compress(b"") + pack.flush(zlib.Z_FULL_FLUSH)
    one = pack.compress(bytes(block)) + pack.flush(zlib.Z_FULL_FLUSH)
    rest = pack.compress(bytes(size % block)) + pack.flush(zlib.Z_FINISH)
    return start + one * (size // block) + rest[:-4] + struct.pack(">HH", size % 65_521, 1)


def text_bombs() -> bytes:
    """A PNG with compressed texts and a compressed profile, each of 300 MB."""
    unpacked = zeros(300_000_000)
    texts = [(b"zTXt", b"a%d\0\0" % number + unpacked) for number in range(8)]
    return png(64, 64, more=[(b"iCCP", b"p\0\0" + unpacked), *texts])


def tiff(tags: Iterable[tuple[int, int, int, int]], after: bytes = b"", following: int = 0) -> bytes:
    """A TIFF with one directory at offset 8.

    Args:
        tags: Tag, type, count and value or offset of each entry.
        after: Data behind the directory.
        following: Offset of the next directory. 0 for none.
    """
    entries = [struct.pack("<HHII", *tag) for tag in sorted(tags)]
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(entries) + struct.pack("<I", following) + after


def _plain_tiff(**changed: int) -> list[tuple[int, int, int, int]]:
    """The entries of a gray TIFF of 16 x 16 pixels, in one strip."""
    names = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "offset": 273,
             "samples": 277, "rows": 278, "bytes": 279}  # fmt: skip
    values = {"width": 16, "height": 16, "bits": 8, "compression": 1, "photometric": 1, "offset": 200, "samples": 1,
              "rows": 16, "bytes": 256} | changed  # fmt: skip
    return [(names[name], 4, 1, value) for name, value in values.items()]


def tiff_with_tile(side: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one compressed tile that is much larger."""
    data = zeros(side * side)
    kept = [tag for tag in _plain_tiff(compression=8) if tag[0] not in (273, 278, 279)]
    tags = [*kept, (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 200), (325, 4, 1, len(data))]
    return tiff(tags).ljust(200, b"\0") + data


def tiff_with_strip(rows: int, width: int = 16) -> bytes:
    """A TIFF of 16 x 16 pixels in one compressed strip that has much more rows."""
    data = zeros(rows * width)
    return tiff(_plain_tiff(compression=8, rows=rows, bytes=len(data))).ljust(200, b"\0") + data


def tiff_directories(count: int) -> bytes:
    """A TIFF with many directories. The last one points to the first."""
    size = len(tiff(_plain_tiff())) - 8
    directory = tiff(_plain_tiff(offset=8))[8:-4]
    chain = [directory + struct.pack("<I", 8 + (number + 1) % count * size) for number in range(count)]
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(chain)


def gif(width: int, height: int, frames: int = 1) -> bytes:
    """A GIF with a large canvas and many frames of one pixel."""
    frame = b"\x21\xf9\4\0\0\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame * frames + b"\x3b"


def bmp(width: int, height: int, runs: bytes) -> bytes:
    """A BMP with 256 colors in run-length coding."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + 1024
    return struct.pack("<2sIHHI", b"BM", start + len(runs), 0, 0, start) + header + bytes(1024) + runs


def heif_grid(brand: str, tiles: int) -> bytes:
    """A HEIC or AVIF of `tiles` x `tiles` tiles of 512 pixels that share their data.

    Args:
        brand: `heic` or `avif`.
        tiles: Tiles in a row and in a column.
    """
    single = FORMATS[brand][1](Image.new("RGB", (512, 512), (90, 120, 30)), np.random.default_rng(0))
    codec, coded = {"heic": (b"hvcC", b"hvc1"), "avif": (b"av1C", b"av01")}[brand]
    settings = _inner(single, codec)
    payload = _inner(single, b"mdat")
    count, side = tiles * tiles, tiles * 512
    ids = range(2, count + 2)
    grid = struct.pack(">BBBBII", 0, 1, tiles - 1, tiles - 1, side, side)
    items = [(1, b"grid"), *((each, coded) for each in ids)]
    entries = b"".join(_box(b"infe", struct.pack(">IHH", 2 << 24, each, 0) + kind + b"\0") for each, kind in items)
    references = _box(b"dimg", struct.pack(f">HH{count}H", 1, count, *ids))
    sizes = [_box(b"ispe", struct.pack(">III", 0, each, each)) for each in (512, side)]
    pixels = _box(b"pixi", bytes.fromhex("0000000003080808"))
    properties = _box(b"ipco", _box(codec, settings) + sizes[0] + sizes[1] + pixels)
    links = b"".join(struct.pack(">HB3B", each, 3, 0x81, 2, 4) for each in ids)
    properties += _box(b"ipma", struct.pack(">IIHB2B", 0, count + 1, 1, 2, 3, 4) + links)
    kinds = _box(b"ftyp", {"heic": b"heic\0\0\0\0mif1heic", "avif": b"avif\0\0\0\0avifmif1miaf"}[brand])

    def meta(start: int) -> bytes:
        places = struct.pack(">HHHHII", 1, 1, 0, 1, 0, len(grid))  # in idat
        places += b"".join(struct.pack(">HHHHII", each, 0, 0, 1, start, len(payload)) for each in ids)
        boxes = [
            _box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            _box(b"pitm", struct.pack(">IH", 0, 1)),
            _box(b"iloc", struct.pack(">IHH", 1 << 24, 0x4400, count + 1) + places),
            _box(b"iinf", struct.pack(">IH", 0, count + 1) + entries),
            _box(b"iref", bytes(4) + references),
            _box(b"iprp", properties),
            _box(b"idat", grid),
        ]
        return _box(b"meta", bytes(4) + b"".join(boxes))

    start = len(kinds) + len(meta(0)) + 8
    return kinds + meta(start) + _box(b"mdat", payload)


def heif_size(brand: str, side: int) -> bytes:
    """A HEIC or AVIF of 64 pixels whose header claims more."""
    single = FORMATS[brand][1](Image.new("RGB", (64, 64), (90, 120, 30)), np.random.default_rng(0))
    size = single.index(b"ispe") + 8
    return single[:size] + struct.pack(">II", side, side) + single[size + 8 :]


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def _inner(data: bytes, kind: bytes) -> bytes:
    """The content of the first box of a kind."""
    at = data.index(kind)
    return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at], "big")]


def weights(entry: str, content_size: int) -> bytes:
    """A PyTorch file with one deflated entry of this size.

    Args:
        entry: `data.pkl`, which becomes a pickle of many lists, or `data/0`, which becomes a tensor of zeros.
        content_size: Unpacked bytes.
    """
    import torch

    file = io.BytesIO()
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, file)
    result = io.BytesIO()
    with (
        zipfile.ZipFile(file) as source,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for name in source.namelist():
            if not name.endswith(f"/{entry}"):
                target.writestr(name, source.read(name))
                continue
            with target.open(name, "w", force_zip64=True) as out:
                out.write(b"\x80\2" if entry == "data.pkl" else b"")
                block = (b"]" if entry == "data.pkl" else b"\0") * (1 << 20)
                for _ in range(content_size >> 20):
                    out.write(block)
                out.write(b"." if entry == "data.pkl" else b"")
    return result.getvalue()


PHOTOS: dict[str, Callable[[int], bytes]] = {
    "many-scans.jpg": lambda side: progressive_jpeg(2_000, 1_500, 2_600),
    "some-scans.jpg": lambda side: progressive_jpeg(side, side, 16),
    "few-scans.jpg": lambda side: progressive_jpeg(side, side, 5),
    "profile.jpg": lambda side: jpeg_with_profile(),
    "one-color.webp": lambda side: webp(min(side + 3_000, 16_383), side * side // min(side + 3_000, 16_383)),
    "profile.webp": lambda side: webp_with_profile(40_000_000),
    "above-limit.png": lambda side: png(30_000, 30_000),
    "below-limit.png": lambda side: png(side, side),
    "deep.png": lambda side: png(side, side, depth=16, color=6),
    "texts.png": lambda side: text_bombs(),
    "tile.tiff": lambda side: tiff_with_tile(46_336),
    "strip.tiff": lambda side: tiff_with_strip(100_000_000),
    "strip-bytes.tiff": lambda side: tiff(_plain_tiff(bytes=0xFFFFFFF0)).ljust(600, b"\0"),
    "tag-count.tiff": lambda side: tiff([*_plain_tiff(), (700, 4, 0x3FFFFFFF, 8)]).ljust(600, b"\0"),
    "directories.tiff": lambda side: tiff_directories(100_000),
    "loop.tiff": lambda side: tiff(_plain_tiff(), following=8).ljust(600, b"\0"),
    "frames.gif": lambda side: gif(200, 200, 20_000),
    "canvas.gif": lambda side: gif(side, side),
    "short-runs.bmp": lambda side: bmp(side, side, b"\1\7" * 9_000_000 + b"\0\1"),
    "canvas.bmp": lambda side: bmp(side, side, b"\0\1"),
    "grid.heic": lambda side: heif_grid("heic", side // 512),
    "grid.avif": lambda side: heif_grid("avif", side // 512),
    "size.heic": lambda side: heif_size("heic", side),
    "size.avif": lambda side: heif_size("avif", side),
}
"""Photos by name, for the side of a square that is just below the limit of pixels."""

WEIGHTS: dict[str, Callable[[], bytes]] = {
    "pickle.pth": lambda: weights("data.pkl", 200 << 20),
    "storage.pth": lambda: weights("data/0", 2_000 << 20),
}
"""Weights files by name."""
