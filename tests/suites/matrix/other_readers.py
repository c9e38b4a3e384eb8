"""Readers that share no code with the product: tifffile and imagecodecs, and ImageMagick if it is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support.tiff_files import CMYK, PALETTE, RGB, YCBCR, Tiff

LIMITS = Limits()
REFUSED = (Reason.UNSUPPORTED_MODE, Reason.UNSUPPORTED_FORMAT)
JPEG_NOISE = 4
"""How far two decoders of one JPEG may be apart: they round, and enlarge sampled colours, in ways of their own."""


@cache
def imagemagick() -> str | None:
    """ImageMagick's program, version 6 or 7."""
    return shutil.which("convert-im6.q16") or shutil.which("magick")


@dataclass
class Counts:
    """What became of the files of one writer. wrong: the name of each, and how."""

    read: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, data: bytes, other: np.ndarray | str, tolerance: int) -> None:
        """Judge one file. other: its pixels by the other reader, or why that reads none."""
        try:
            images.inspect(data, LIMITS)
            ours = images.decode(data, LIMITS, rgb).pixels
        except Rejected as why:
            if why.reason in REFUSED:
                self.refused += 1
            else:
                self.wrong.append(f"{name}: {why}")
            return
        if isinstance(other, str):
            self.wrong.append(f"{name}: read by us alone, the other reader says {other}")
        elif ours.shape != other.shape:
            self.wrong.append(f"{name}: {ours.shape}, not {other.shape}")
        elif (apart := int(np.abs(ours.astype(int) - other).max())) > tolerance:
            self.wrong.append(f"{name}: up to {apart} apart")
        else:
            self.read += 1

    def __str__(self) -> str:
        return f"{self.read} read equal, {self.refused} refused, {len(self.wrong)} wrong"


def rgb(image: Image.Image) -> np.ndarray:
    """A preprocessing that changes no size."""
    return np.asarray(images.to_rgb(images.upright(image)))


def by_tifffile(data: bytes) -> np.ndarray | str:
    """The first page of a TIFF in RGB, by tifffile and the rules of docs/images.md; or why it cannot be read."""
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            samples = page.asarray()
            photometric, extra = int(page.photometric), tuple(int(kind) for kind in page.extrasamples)
            palette = page.colormap.T if photometric == PALETTE else None
            if int(page.compression) in (6, 7) and photometric == YCBCR:
                photometric = RGB  # imagecodecs has converted it
            bits, count = page.bitspersample, page.samplesperpixel
            if samples.ndim == 2:
                samples = samples[..., None]
            elif samples.shape[0] == count and samples.shape[-1] != count:
                samples = np.moveaxis(samples, 0, -1)
        return Tiff(samples.astype(np.int64), bits, photometric, extra=extra, palette=palette).rgb()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def by_imagecodecs(data: bytes, kind: str) -> np.ndarray | str:
    """The first picture in RGB, by libpng, giflib, libwebp or libjpeg-turbo as imagecodecs builds them."""
    try:
        if kind == "PNG":
            pixels = imagecodecs.png_decode(data)
        elif kind == "GIF":
            pixels = imagecodecs.gif_decode(data, index=0)
        elif kind == "WEBP":
            pixels = imagecodecs.webp_decode(data, index=0)
        else:
            pixels = imagecodecs.jpeg8_decode(data)
            if pixels.ndim == 3 and pixels.shape[2] == 4:  # inks, as Adobe stores them: inverted
                return Tiff(255 - pixels.astype(np.int64), 8, CMYK).rgb()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    grey = pixels.shape[2] < 3
    if pixels.dtype == np.uint16:  # grey alone is scaled, all else keeps its high byte
        pixels = np.rint(pixels * np.float32(255 / 65535)) if pixels.shape[2] == 1 else pixels >> 8
    pixels = pixels.astype(np.uint8)
    return np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels[..., :3]


def by_imagemagick(path: Path, kind: str, shape: tuple[int, ...]) -> np.ndarray | str:
    """The first picture in RGB, without alpha, by ImageMagick. shape: of the pixels that are expected."""
    program = imagemagick()
    assert program
    command = [
        program,
        f"{kind}:{path}[0]",
        "-auto-orient",
        "-alpha",
        "off",
        "-colorspace",
        "sRGB",
        "-depth",
        "8",
        "rgb:-",
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    if done.returncode or len(done.stdout) != np.prod(shape):
        return f"{len(done.stdout)} bytes, {done.stderr.decode(errors='replace')[:100]}"
    return np.frombuffer(done.stdout, np.uint8).reshape(shape)


def written_by_imagemagick(source: Path, target: Path, kind: str, options: tuple[str, ...]) -> bytes | None:
    """A picture written in that format with those options; None where ImageMagick refuses them."""
    program = imagemagick()
    assert program
    command = [program, str(source), *options, f"{kind}:{target}"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return target.read_bytes() if done.returncode == 0 and target.is_file() else None
