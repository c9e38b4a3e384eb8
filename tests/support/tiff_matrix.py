"""Every layout of a TIFF: colours × bits × extra samples × byte order × planes × compression × fill order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product

import numpy as np

from imagefeatures.settings import REPOSITORY
from support.snippets import section
from support.tiff_files import (
    ADOBE_DEFLATE,
    BLACK_IS_ZERO,
    CMYK,
    DEFLATE,
    LAB,
    LZW,
    MASK,
    NONE,
    PACKBITS,
    PALETTE,
    RGB,
    SHORT,
    WHITE_IS_ZERO,
    YCBCR,
    Tiff,
)

COLOURS = {
    "grey whose 0 is white": (WHITE_IS_ZERO, 1),
    "grey": (BLACK_IS_ZERO, 1),
    "RGB": (RGB, 3),
    "palette": (PALETTE, 1),
    "CMYK": (CMYK, 4),
    "YCbCr": (YCBCR, 3),
    "CIELAB": (LAB, 3),
    "mask": (MASK, 1),
}
"""Name in docs/images.md: PhotometricInterpretation, samples."""

COMPRESSIONS = (NONE, LZW, ADOBE_DEFLATE, DEFLATE, PACKBITS)
WITH_PREDICTOR = (LZW, ADOBE_DEFLATE, DEFLATE)
HEIGHT, WIDTH = 37, 29

Kind = tuple[int, int, int, tuple[int, ...]]
"""PhotometricInterpretation, bits of a sample, samples, ExtraSamples."""


def kinds() -> Iterator[Kind]:
    """Colours of every depth, with extra samples and without: those that are read, and others."""
    for photometric, samples in COLOURS.values():
        yield from ((photometric, bits, samples, ()) for bits in (1, 2, 4, 8, 12, 16))
        for extra in ((0,), (1,), (2,), (0, 0), (1, 0), (2, 0)):
            yield from ((photometric, bits, samples + len(extra), extra) for bits in (8, 16))
    for extra in ((999,), (0, 0, 0), (1, 0, 0), (2, 0, 0)):
        yield from ((RGB, bits, 3 + len(extra), extra) for bits in (8, 16))
    yield from ((RGB, bits, 4, ()) for bits in (8, 16))
    yield from ((BLACK_IS_ZERO, bits, samples, ()) for bits in (8, 16) for samples in (2, 4, 8))
    yield (BLACK_IS_ZERO, 32, 1, ())


def layouts(kind: Kind, compressions: tuple[int, ...], orders: str = "<>") -> Iterator[Tiff]:
    """The layouts of one kind: little-endian files in strips, big-endian ones in tiles."""
    photometric, bits, _, extra = kind
    samples, palette = pixels(kind)
    for order, planes, compression, reversed_bits in product(orders, (False, True), compressions, (False, True)):
        for predictor in (False, True)[: 1 + (compression in WITH_PREDICTOR and bits in (8, 16))]:
            yield Tiff(
                samples,
                bits,
                photometric,
                order,
                planes,
                compression,
                reversed_bits,
                predictor,
                extra,
                rows=10 if order == "<" else None,
                tile=16 if order == ">" else None,
                palette=palette,
                tags={530: (SHORT, (1, 1))} if photometric == YCBCR else {},
            )


def few_layouts(kind: Kind) -> Iterator[Tiff]:
    """Eight of them: with and without compression, planes apart and bits in reverse, the byte orders in turn."""
    for planes, reversed_bits in product((False, True), repeat=2):
        order = "<>"[planes ^ reversed_bits]
        for tiff in layouts(kind, (NONE, LZW), order):
            if (tiff.planes, tiff.reversed_bits) == (planes, reversed_bits) and not tiff.predictor:
                yield tiff


def pixels(kind: Kind) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples over the whole range, and a palette: the same in every run. Colours are premultiplied where declared."""
    photometric, bits, count, extra = kind
    random = np.random.default_rng(bits)
    samples = random.integers(0, 2**bits, (HEIGHT, WIDTH, count), dtype=np.int64)
    if extra[:1] == (1,):
        alpha = count - len(extra)
        samples[..., :alpha] = samples[..., :alpha] * samples[..., alpha : alpha + 1] // (2**bits - 1)
    palette = random.integers(0, 65536, (2**bits, 3), dtype=np.int64) if photometric == PALETTE else None
    return samples, palette


def is_documented(tiff: Tiff) -> bool:
    """Whether docs/images.md says that such a file is read."""
    key = (tiff.photometric, tiff.bits, tiff.samples.shape[2], tiff.extra)
    for planes, reversed_bits in _documented().get(key, ()):
        coded = tiff.compression != NONE
        allowed = {"yes": True, "compressed": coded, "no": False}
        if tiff.planes and tiff.reversed_bits and not coded:
            return False
        return (not tiff.planes or allowed[planes]) and (not tiff.reversed_bits or allowed[reversed_bits])
    return False


@lru_cache
def _documented() -> dict[Kind, list[tuple[str, str]]]:
    """The table of TIFF layouts: kind: planes apart, bits in reverse."""
    (table,) = section(REPOSITORY / "docs" / "images.md", "TIFF").tables
    found: dict[Kind, list[tuple[str, str]]] = {}
    for colours, bits, extras, planes, reversed_bits in table:
        photometric, samples = COLOURS[colours]
        for depth, words in product(bits.split(", "), extras.split("; ")):
            extra = () if words in ("none", "undeclared") else tuple(int(code) for code in words.split(", "))
            count = samples + len(extra) + (words == "undeclared")
            found.setdefault((photometric, int(depth), count, extra), []).append((planes, reversed_bits))
    return found
