"""Photos on disk: finding them, decoding them, and preparing them for an encoder."""

from __future__ import annotations

from mvmr_zoo.images.decode import MAX_BYTES, SUFFIXES, file_bytes, file_reason, upright_rgb
from mvmr_zoo.images.decode_pool import Cancellation, DecodePool, PhotoFile, decode_pool
from mvmr_zoo.images.decode_process import DecodedPhoto, PhotoFacts
from mvmr_zoo.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, MAX_PX, Preprocess, Reads
from mvmr_zoo.images.read import read_image, read_photo
from mvmr_zoo.images.scan import EVERYTHING, FailureRow, Globs, Scan, Stamp, absolute, names_of, scan_folder, stamp_of

__all__ = [
    "EVERYTHING",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "MAX_BYTES",
    "MAX_PX",
    "SUFFIXES",
    "Cancellation",
    "DecodePool",
    "DecodedPhoto",
    "FailureRow",
    "Globs",
    "PhotoFacts",
    "PhotoFile",
    "Preprocess",
    "Reads",
    "Scan",
    "Stamp",
    "absolute",
    "decode_pool",
    "file_bytes",
    "file_reason",
    "names_of",
    "read_image",
    "read_photo",
    "scan_folder",
    "stamp_of",
    "upright_rgb",
]
