"""Images that kill their decoder, for the tests: a decoder with a weakness, and rows that hit it.

Nothing outside the tests can reach it: a decoder is named by the code that makes it, never by data.
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

from imagefeatures import images
from imagefeatures.datasets import Limits
from imagefeatures.isolation import MEMORY_BYTES, Isolated
from imagefeatures.plan import Run
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.shards import Receipt
from imagefeatures.steps import resize

KINDS = {"crash": "DECODER_CRASHED", "abort": "DECODER_CRASHED", "hang": "TIMEOUT", "eat": "OUT_OF_MEMORY"}
"""What a poisonous image does, and the reason that it must get."""


def decode(data: bytes, limits: Limits, preprocessing: Preprocessing) -> images.Decoded:
    """images.decode, but for a poison mark behind the end of the file."""
    kind = data.rpartition(b"poison:")[2].decode("latin-1")
    if kind in ACTS:
        ACTS[kind]()
    return images.decode(data, limits, preprocessing)


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
    """Write `count` small photos; those at the given positions are poisonous. Returns file name to expected reason."""
    folder.mkdir(parents=True)
    expected = {}
    for at in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (24, 16), (at % 256, at // 256, 99)).save(buffer, "PNG")
        kind = poison.get(at)
        (folder / f"{at:05d}.png").write_bytes(buffer.getvalue() + (b"poison:" + kind.encode() if kind else b""))
        if kind:
            expected[f"{at:05d}.png"] = KINDS[kind]
    return expected


@lru_cache
def decoder() -> Isolated:
    return Isolated(decode)


def resize_shard(run: Run, shard: int) -> Receipt:
    """resize.run_shard with the weak decoder; by name, so that Spark can hand it to its workers."""
    return resize.run_shard(run, shard, decoder())
