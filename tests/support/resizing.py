"""Random pictures in which resizing by compiled code is compared with Pillow's."""

from __future__ import annotations

import re
import shutil
import sysconfig
from pathlib import Path

import numpy as np
from PIL import Image


def has_compiler() -> bool:
    """Whether this machine has a C compiler and Python's headers."""
    return bool(shutil.which("cc")) and Path(sysconfig.get_paths()["include"], "Python.h").is_file()


def can_be_compiled() -> bool:
    """Whether it has AVX2 too."""
    cpu = Path("/proc/cpuinfo")
    avx2 = cpu.is_file() and bool(re.search(r"^flags\b.*\bavx2\b", cpu.read_text(), re.MULTILINE))
    return avx2 and has_compiler()


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    """Random pixels. For even seeds they are black or white: nearly every pixel overshoots and must be clipped."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values if seed % 2 else np.where(values > 127, 255, 0).astype(np.uint8))


def by_pillow(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC))


def sizes() -> list[tuple[int, int]]:
    """(height, width): enlarged, shrunk, both at once, a side of 224, one pixel wide, rows first and columns first."""
    drawn = np.exp(np.random.default_rng(7).uniform(0, np.log(2500), (120, 2))).astype(int) + 1
    sides = [1, 2, 3, 4, 5, 7, 8, 223, 224, 225, 226, 448, 449, 3000]
    return [(h, w) for h, w in drawn.tolist()] + [(s, 224) for s in sides] + [(224, s) for s in sides] + [(1, 1)]
