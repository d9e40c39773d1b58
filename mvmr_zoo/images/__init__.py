"""Photos on disk: finding them, decoding them, and preparing them for an encoder."""

from __future__ import annotations

from mvmr_zoo.images.decode import MAX_BYTES, SUFFIXES, file_bytes, file_reason, read_image, read_photo, upright_rgb
from mvmr_zoo.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, MAX_PX, Preprocess, Reads
from mvmr_zoo.images.scan import EVERYTHING, FailureRow, Globs, Scan, Stamp, absolute, names_of, scan_folder, stamp_of

__all__ = [
    "EVERYTHING",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MAX_BYTES",
    "MAX_PX",
    "SUFFIXES",
    "FailureRow",
    "Globs",
    "Preprocess",
    "Reads",
    "Scan",
    "Stamp",
    "absolute",
    "file_bytes",
    "file_reason",
    "names_of",
    "read_image",
    "read_photo",
    "scan_folder",
    "stamp_of",
    "upright_rgb",
]
