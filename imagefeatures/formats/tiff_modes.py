"""TIFF: which layouts the decoder reads right. All others are refused with what was found.

What is allowed was measured: every kind of colours in every order of bytes, planes and bits, uncompressed and
compressed, against its definition and another reader (tests/suites/matrix). A layout that is not listed is refused
even where some decoder would read it.
"""

from __future__ import annotations

from imagefeatures.errors import Rejected
from imagefeatures.formats import jpeg_frame
from imagefeatures.formats.tiff_layout import (
    COEFFICIENTS,
    DNG_VERSION,
    DOT_RANGE,
    INK_SET,
    JPEG_STREAM,
    OLD_SUBFILE,
    PALETTE,
    PREDICTOR,
    RAW,
    REFERENCE,
    SUBFILE,
    SUBSAMPLING,
    Layout,
    subdirectory_sizes,
    text,
)
from imagefeatures.reasons import Reason

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE_COLOURS, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
_FAX = {2: "CCITT RLE", 3: "CCITT fax 3", 4: "CCITT fax 4"}
_CODED = {5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits", 34925: "LZMA", 50000: "Zstandard"}
_JPEG, _OLD_JPEG, PACKBITS = 7, 6, 32773
_READ = {RAW: "no compression", _JPEG: "JPEG", _OLD_JPEG: "JPEG in the old manner", **_FAX, **_CODED}
_NOT_READ = {
    22610: "JPEG XR",
    32771: "CCITT RLE, word by word",
    32809: "ThunderScan",
    32908: "Pixar film",
    32909: "Pixar log",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI log",
    34677: "SGI log of 24 bits",
    34712: "JPEG 2000",
    34713: "Nikon's raw compression",
    34887: "LERC",
    34892: "lossy JPEG of a DNG file",
    34926: "Zstandard, by its old number",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}

_COLOURS = {
    WHITE_IS_ZERO: "grey whose 0 is white",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE_COLOURS: "a palette",
    4: "a transparency mask",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    8: "CIELAB",
    9: "ICC LAB",
    10: "ITU LAB",
    32844: "LogL",
    32845: "LogLuv",
}
_RAW_COLOURS = {32803: "colour filter array", 34892: "linear raw"}
_FORMATS = {1: "", 2: "signed ", 3: "float ", 4: "undefined ", 5: "complex ", 6: "complex "}
_CR2 = b"\x10\0\0\0CR\2\0"  # Canon's mark behind the offset of the directory: CR alone may be pixels
_MAKERS = {"NIKON": "NEF", "SONY": "ARW", "PENTAX": "PEF", "SAMSUNG": "SRW", "EPSON": "ERF", "KODAK": "DCR"}

_BOTH = {"raw", "coded"}
_PLANES = _BOTH | {"coded planes"}
_RAW_PLANES = _PLANES | {"raw planes"}
_TURNED = {"coded reversed", "coded planes reversed"}
_FEW_BITS = _PLANES | _TURNED | {"raw reversed"}

_WAYS: dict[tuple[int, int, int, tuple[int, ...]], set[str]] = {
    # (photometric, bits of a sample, samples, extra samples): how they may be laid out
    **{(WHITE_IS_ZERO, bits, 1, ()): _FEW_BITS for bits in (1, 2, 4)},
    (WHITE_IS_ZERO, 8, 1, ()): _PLANES | _TURNED,
    **{(BLACK_IS_ZERO, bits, 1, ()): _FEW_BITS for bits in (2, 4)},
    **{(BLACK_IS_ZERO, bits, 1, ()): _FEW_BITS | _RAW_PLANES for bits in (1, 8)},
    (BLACK_IS_ZERO, 16, 1, ()): _PLANES,
    (BLACK_IS_ZERO, 8, 2, (0,)): _PLANES,
    (BLACK_IS_ZERO, 8, 2, (1,)): _BOTH,
    (BLACK_IS_ZERO, 8, 2, (2,)): _PLANES,
    (RGB, 8, 3, ()): _FEW_BITS | _RAW_PLANES,
    (RGB, 8, 4, ()): _BOTH,
    (RGB, 8, 4, (0,)): _PLANES,
    (RGB, 8, 4, (1,)): _PLANES,
    (RGB, 8, 4, (2,)): _RAW_PLANES,
    (RGB, 8, 4, (999,)): _RAW_PLANES,  # alpha, as Corel Draw calls it
    (RGB, 8, 5, (0, 0)): _PLANES,
    (RGB, 8, 5, (1, 0)): _BOTH,
    (RGB, 8, 5, (2, 0)): _BOTH,
    (RGB, 8, 6, (0, 0, 0)): _PLANES,
    (RGB, 8, 6, (1, 0, 0)): _BOTH,
    (RGB, 8, 6, (2, 0, 0)): _BOTH,
    (RGB, 16, 3, ()): _PLANES,
    (RGB, 16, 4, ()): _BOTH,
    (RGB, 16, 4, (0,)): _PLANES,
    (RGB, 16, 4, (1,)): _PLANES,
    (RGB, 16, 4, (2,)): _PLANES,
    **{(PALETTE_COLOURS, bits, 1, ()): _PLANES | _TURNED for bits in (1, 2, 4)},
    (PALETTE_COLOURS, 8, 1, ()): _FEW_BITS | _RAW_PLANES,
    (PALETTE_COLOURS, 8, 2, (0,)): _PLANES,
    (PALETTE_COLOURS, 8, 2, (2,)): _PLANES,
    (CMYK, 8, 4, ()): _RAW_PLANES,
    (CMYK, 8, 5, (0,)): _PLANES,
    (CMYK, 8, 6, (0, 0)): _PLANES,
    (CMYK, 16, 4, ()): _PLANES,
    (YCBCR, 8, 3, ()): _PLANES,
}
_JPEG_WAYS = {
    (WHITE_IS_ZERO, 8, 1, ()),
    (BLACK_IS_ZERO, 8, 1, ()),
    (RGB, 8, 3, ()),
    (YCBCR, 8, 3, ()),
    (CMYK, 8, 4, ()),
}
_WITHOUT_A_RULE: dict[tuple[int | None, int, int, int], str] = {
    # (photometric, bits, samples, sample format): Pillow's name of the mode
    (BLACK_IS_ZERO, 32, 1, 1): "I",
    (BLACK_IS_ZERO, 32, 1, 2): "I",
    (BLACK_IS_ZERO, 16, 1, 2): "I",
    (BLACK_IS_ZERO, 32, 1, 3): "F",
    (8, 8, 3, 1): "LAB",
}


def check_picture(data: bytes, layout: Layout) -> None:
    """Check that the first directory is the picture. Raises Rejected (UNSUPPORTED_FORMAT) for a preview of a raw file.

    A later page may be anything: the first counts.
    """
    size = f"{layout.width} × {layout.height}"
    maker = text(data, 271)
    kind = next((raw for name, raw in _MAKERS.items() if maker.upper().startswith(name)), "")
    if data[4:12] == _CR2:
        kind = "CR2"
    if DNG_VERSION in layout.values:
        kind = "DNG"
    reduced = layout.one(SUBFILE, 0) & 1 or layout.one(OLD_SUBFILE, 1) == 2
    larger = any(width * height > layout.width * layout.height for width, height in subdirectory_sizes(data, layout))
    named = f" ({kind})" if kind else ""
    if kind in ("CR2", "DNG") or layout.photometric in _RAW_COLOURS:
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found a camera's raw file{named}, whose first picture is {size}")
    if reduced or larger:
        what = f"a camera's raw file{named}" if kind else "a TIFF image"
        where = "larger in a SubIFD" if larger else "elsewhere in the file"
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT,
            f"found {what} whose first picture, {size}, is a reduced one: the whole is {where}",
        )


def check_layout(data: bytes, layout: Layout) -> None:
    """Check that the decoder reads this layout right. Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE)."""
    compression = layout.compression
    if compression not in _READ:
        name = _NOT_READ.get(compression, f"compression {compression}")
        raise Rejected(Reason.UNSUPPORTED_FORMAT, f"found a TIFF image compressed by {name}, which is not read")
    if compression == _OLD_JPEG and JPEG_STREAM not in layout.values:
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT,
            "found a TIFF image compressed by JPEG in the old manner, in parts, which is not read",
        )
    if rule := _WITHOUT_A_RULE.get((layout.photometric, layout.bits, layout.samples, layout.sample_format)):
        raise Rejected(Reason.UNSUPPORTED_MODE, f"mode {rule!r} has no defined conversion to RGB")
    if not _is_read(layout):
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a TIFF of {describe(layout)} is not read")
    if why := _contradiction(data, layout):
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a TIFF of {describe(layout)} {why}")


def compression_name(number: int) -> str | None:
    """The name of a compression; None where nobody knows the number."""
    return _READ.get(number) or _NOT_READ.get(number)


def describe(layout: Layout) -> str:
    """What was found, in words. Its compression is one that is read.

    Such as "RGB, 3 samples of 16 bits, planes apart, no compression".
    """
    photometric = layout.photometric
    colours = "undeclared colours" if photometric is None else _COLOURS.get(photometric, f"colours {photometric}")
    kind = _FORMATS.get(layout.sample_format, "mixed ")
    bits = f"{layout.bits} bits" if layout.bits else "different bits"
    words = [colours, f"{layout.samples} {kind}sample{'s' * (layout.samples != 1)} of {bits}"]
    if layout.extra:
        words.append(f"extra samples {', '.join(map(str, layout.extra))}")
    words += ["planes apart"] * layout.planes_apart + ["bits in reverse"] * layout.reversed_bits
    words += [f"predictor {layout.one(PREDICTOR, 1)}"] * (layout.one(PREDICTOR, 1) != 1)
    return ", ".join([*words, _READ[layout.compression]])


def _is_read(layout: Layout) -> bool:
    compression, photometric, one_plane = layout.compression, layout.photometric, not layout.planes_apart
    predictor = layout.one(PREDICTOR, 1)
    if photometric is None and compression in _FAX:
        photometric = WHITE_IS_ZERO  # the specification has no default; fax machines write black on white
    if photometric is None or layout.sample_format != 1:
        return False
    key = (photometric, layout.bits, layout.samples, layout.extra)
    if compression == _JPEG:
        return key in _JPEG_WAYS and (one_plane or photometric != CMYK) and not layout.reversed_bits and predictor == 1
    if compression == _OLD_JPEG:
        return key == (YCBCR, 8, 3, ()) and one_plane
    if compression in _FAX:
        return key[1:] == (1, 1, ()) and photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and predictor == 1
    if predictor != 1 and (predictor != 2 or layout.bits not in (8, 16) or compression in (RAW, PACKBITS)):
        return False
    way = "raw" if compression == RAW else "coded"
    way += " planes" * layout.planes_apart + " reversed" * layout.reversed_bits
    return way in _WAYS.get(key, ())


def _contradiction(data: bytes, layout: Layout) -> str:
    """What else is declared that the decoder would not heed; empty if there is nothing."""
    photometric, compression = layout.photometric, layout.compression
    if photometric == PALETTE_COLOURS:
        return _palette_fault(layout)
    if photometric == CMYK:
        most = 2**layout.bits - 1
        if layout.one(INK_SET, 1) != 1:
            return "has other inks than cyan, magenta, yellow and black"
        if layout.values.get(DOT_RANGE, (0, most))[:2] != (0, most):
            return "has inks of another range"
    if photometric == YCBCR:
        return _ycbcr_fault(layout)
    if compression == _JPEG and photometric == RGB and len(layout.offsets):
        start = int(layout.offsets[0])
        if jpeg_frame.declares_ycbcr(data[start : start + int(layout.lengths[:1].sum())]):
            return "holds JPEG data that declare YCbCr"
    return ""


def _palette_fault(layout: Layout) -> str:
    palette = layout.arrays.get(PALETTE)
    if palette is None or len(palette) != 3 << layout.bits:
        return f"has {0 if palette is None else len(palette)} values of a palette, not {3 << layout.bits}"
    if palette.dtype.itemsize != 2:
        return "has a palette of other values than 16 bits"
    if 0 < palette.max(initial=0) < 256:
        return "has a palette of 8-bit values where 16 bits are prescribed"
    return ""


def _ycbcr_fault(layout: Layout) -> str:
    """libtiff heeds these tags, except where libjpeg or Pillow converts the colours."""
    subsampling = layout.values.get(SUBSAMPLING, (2, 2))[:2]
    if layout.compression not in (_JPEG, _OLD_JPEG):
        if SUBSAMPLING not in layout.values:
            return "does not say how its colours are sampled"
        if not all(factor in (1, 2, 4) for factor in subsampling):
            return "has colours that are sampled in another way than each 1, 2 or 4 pixels"
        if subsampling != (1, 1) and (layout.compression == RAW or layout.planes_apart):
            return "has colours for several pixels each"
        if layout.compression != RAW:
            return ""
    elif layout.planes_apart and subsampling != (1, 1):
        return "has colours for several pixels each"
    weights = layout.values.get(COEFFICIENTS, (0.299, 0.587, 0.114))
    if max(abs(found - usual) for found, usual in zip(weights, (0.299, 0.587, 0.114), strict=False)) > 0.001:
        return "has other coefficients than those of JPEG"
    usual = (0, 255, 128, 255, 128, 255)
    reference = layout.values.get(REFERENCE, usual)
    if max(abs(found - wanted) for found, wanted in zip(reference, usual, strict=False)) > 1:
        return "has black and white at other values than 0 and 255"
    return ""
