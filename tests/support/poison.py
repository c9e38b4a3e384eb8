"""Images that crash, hang or exhaust their decoder: a decoder with a weakness, and photos that trigger it.

Only tests can reach this decoder, since code names the decoder, never data.
"""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from imagefeatures import bitmaps, images
from imagefeatures.isolation import MEMORY_BYTES, Isolated
from imagefeatures.limits import Limits
from imagefeatures.plan import Run
from imagefeatures.preprocessing import PixelRule
from imagefeatures.shards import Receipt
from imagefeatures.steps import resize

KINDS = {"crash": "DECODER_CRASHED", "abort": "DECODER_CRASHED", "hang": "TIMEOUT", "eat": "OUT_OF_MEMORY"}
"""What a poisonous image does: the reason that it must get."""


def decode(data: bytes, limits: Limits, preprocessing: PixelRule) -> images.Decoded:
    """images.decode, unless the file ends with a poison mark."""
    kind = data.rpartition(b"poison:")[2].decode("latin-1")
    if kind in ACTS:
        ACTS[kind]()
    return images.decode(data, limits, preprocessing)


def decode_bitmap(data: bytes, limits: Limits, rule: bitmaps.BitmapRule) -> images.Decoded:
    """bitmaps.decode, unless the file ends with a poison mark."""
    return decode(data, limits, rule)


def _spin() -> None:
    while True:
        pass


ACTS: dict[str, Callable[[], object]] = {
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": os.abort,
    "hang": _spin,
    "eat": lambda: np.ones(2 * MEMORY_BYTES, np.uint8),
}


def lay_out(folder: Path, count: int, poison: dict[int, str]) -> dict[str, str]:
    """Write `count` small photos, some of them poisonous. poison: photo's index: kind.

    Returns file name: expected reason.
    """
    folder.mkdir(parents=True)
    expected = {}
    for index in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (24, 16), (index % 256, index // 256, 99)).save(buffer, "PNG")
        kind = poison.get(index)
        (folder / f"{index:05d}.png").write_bytes(buffer.getvalue() + (b"poison:" + kind.encode() if kind else b""))
        if kind:
            expected[f"{index:05d}.png"] = KINDS[kind]
    return expected


@lru_cache
def decoder() -> Isolated:
    return Isolated(decode)


def resize_shard(run: Run, shard: int) -> Receipt:
    """resize.run_shard with the weak decoder; a module's function, so that Spark can send it to its workers."""
    return resize.run_shard(run, shard, decoder())
