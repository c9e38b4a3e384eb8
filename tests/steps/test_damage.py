"""Damaged bytes: truncated files, pixel data that ends early, and flipped bits in staged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefeatures import manifest
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.images import inspect
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from imagefeatures.shards import read_staged
from imagefeatures.steps import featurize, ingest, resize, validate
from support.photos import ENCODINGS, encoded, fill, jpeg, png_made, real_photos
from support.shared import MakeRun, decode

LIMITS = Limits()
CUTS = 100
FLIPS = 200


def cut_reason(data: bytes) -> str:
    try:
        inspect(data, LIMITS)
        decode(data, LIMITS)
    except Rejected as why:
        return str(why.reason)
    return "accepted"


def test_a_photo_cut_at_any_of_100_points_is_truncated(capsys: pytest.CaptureFixture[str]) -> None:
    with Image.open(real_photos()[0]) as photo:
        small = photo.resize((320, 213))
    flavours = {**ENCODINGS, "deflate tiff": ("TIFF", {"compression": "tiff_adobe_deflate"})}
    refused = {}
    for name, (kind, options) in flavours.items():
        data = encoded(small, kind, **options)
        points = {12 + at * (len(data) - 13) // (CUTS - 1) for at in range(CUTS)}  # from the signature to the end
        refused[name] = sum(cut_reason(data[:cut]) == Reason.TRUNCATED for cut in points)
    with capsys.disabled():
        print(f" {sum(refused.values())}/{CUTS * len(flavours)} cuts refused ", end="")
    assert refused == dict.fromkeys(flavours, CUTS)


# PNGs with missing rows

SIDE = 64
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by PNG colour type
EVERY = ((8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2))
"""Distance in columns and rows between the pixels of each Adam7 pass."""


def pixel_bytes(depth: int, colour: int, interlaced: bool) -> int:
    """Bytes of the rows of a 64 × 64 PNG: each row has a filter byte and its pixels."""
    passes = EVERY if interlaced else ((1, 1),)
    return sum(SIDE // y * (1 + SIDE // x * CHANNELS[colour] * depth // 8) for x, y in passes)


@pytest.mark.parametrize(
    ("depth", "colour", "interlaced"),
    [(1, 0, False), (16, 0, False), *[(8, colour, lace) for colour in CHANNELS for lace in (False, True)]],
)
def test_a_png_whose_rows_end_too_early_is_truncated(depth: int, colour: int, interlaced: bool) -> None:
    whole = pixel_bytes(depth, colour, interlaced)
    black = png_made(SIDE, SIDE, depth, colour, bytes(whole), interlaced)
    assert not decode(black, LIMITS).pixels.any()  # complete, and black to the last row
    for missing in (1, whole // SIDE, whole // 2):
        short = png_made(SIDE, SIDE, depth, colour, bytes(whole - missing), interlaced)
        assert inspect(short, LIMITS).width == SIDE  # the headers alone look right
        assert cut_reason(short) == Reason.TRUNCATED


def test_a_bright_png_without_its_last_row_is_truncated_too() -> None:
    row = b"\0" + b"\xc8" * SIDE * 3
    assert decode(png_made(SIDE, SIDE, 8, 2, row * SIDE), LIMITS).pixels.min() == 200
    with pytest.raises(Rejected, match="PNG of 64 × 64 whose pixels end after 12,159 of 12,352 bytes"):
        decode(png_made(SIDE, SIDE, 8, 2, row * (SIDE - 1)), LIMITS)


def test_an_interlaced_png_without_its_last_pass_is_truncated() -> None:
    passes = [1 + SIDE // 8, 1 + SIDE // 8, 1 + SIDE // 4, 1 + SIDE // 2]  # those that an image of one row has
    assert decode(png_made(SIDE, 1, 8, 0, bytes(sum(passes)), interlaced=True), LIMITS).width == SIDE
    with pytest.raises(Rejected, match="PNG of 64 × 1 whose pixels end after 35 of 68 bytes"):
        decode(png_made(SIDE, 1, 8, 0, bytes(sum(passes[:3])), interlaced=True), LIMITS)


def test_bytes_after_the_last_row_are_ignored() -> None:
    data = png_made(SIDE, SIDE, 8, 2, bytes(pixel_bytes(8, 2, False) + 5_000_000))
    assert decode(data, LIMITS).width == SIDE


# Flipped bits in staged files


class Engine:
    """An engine without a model: vectors of the right shape."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return np.random.default_rng(0).random((len(pixels), 1280), np.float32)


def test_one_flipped_bit_in_a_staged_file_is_always_caught(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(3)}), {"shard_images": 10})
    manifest.list_source(run, workers=1)
    steps = [lambda step=step: step.run_shard(run, 0) for step in (ingest, validate, resize)]
    files = [do().output for do in [*steps, lambda: featurize.run_shard(run, 0, Engine())]]
    chance = np.random.default_rng(5)
    caught = 0
    for at in range(FLIPS):
        file = files[at % len(files)]
        path = Path(file.uri.removeprefix("file://"))
        whole = path.read_bytes()
        assert read_staged(file).num_rows == file.rows > 0
        bad = bytearray(whole)
        bad[chance.integers(len(bad))] ^= 1 << chance.integers(8)
        path.write_bytes(bad)
        with pytest.raises(AuditFailed):
            read_staged(file)
        caught += 1
        path.write_bytes(whole)
    with capsys.disabled():
        print(f" {caught}/{FLIPS} flipped bits caught ", end="")
    assert caught == FLIPS
