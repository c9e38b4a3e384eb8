"""BMP: fixed headers of several ages, masks or a palette, and rows; no metadata that a decoder reads."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from imagefeatures.errors import Rejected
from imagefeatures.formats.bmp_runs import check_runs
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

_OS2, _OS2_LONG = 12, 64  # the headers of OS/2, by their bytes
_WINDOWS = (40, 52, 56, 108, 124)  # those of Windows
_PLAIN, _RLE8, _RLE4, _MASKS = 0, 1, 2, 3
_COMPRESSIONS = {_PLAIN: "no compression", _RLE8: "RLE8", _RLE4: "RLE4", _MASKS: "masks", 6: "masks with alpha"}
_COMPRESSIONS |= {11: "CMYK", 12: "CMYK in RLE8", 13: "CMYK in RLE4"}
_OS2_COMPRESSIONS = {_MASKS: "Huffman", 4: "RLE24"}
_INSIDE = {4: "JPEG", 5: "PNG"}
_READ = {(1, _PLAIN), (4, _PLAIN), (8, _PLAIN), (24, _PLAIN), (4, _RLE4), (8, _RLE8)}
_READ_LATER = {*_READ, (16, _PLAIN), (32, _PLAIN)}
_READ_IN_WINDOWS = {*_READ_LATER, (16, _MASKS), (24, _MASKS), (32, _MASKS)}
_ALPHA = {(0xFF0000, 0xFF00, 0xFF): {0, 0xFF000000}, (0xFF, 0xFF00, 0xFF0000): {0xFF000000}}
_ALPHA |= {(0xFF000000, 0xFF0000, 0xFF00): {0, 0xFF}, (0xFF000000, 0xFF00, 0xFF): {0, 0xFF0000}}
"""The masks of red, green and blue in 32 bits that are read, each with those of alpha."""
_MASKS_OF_16 = {(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)}
_MASKS_OF_24 = {(0xFF0000, 0xFF00, 0xFF)}


@dataclass(frozen=True)
class Header:
    """The header of a BMP. size: its bytes. pixels: where the rows begin; 0 if it does not say."""

    size: int
    width: int
    height: int
    bits: int
    compression: int
    colours: int
    pixels: int

    @property
    def palette(self) -> int:
        """How many colours the palette has; 0 without one. It ends where the pixels begin, whatever it declares."""
        if self.bits > 8:
            return 0
        declared = self.colours or 1 << self.bits
        stored = (self.pixels - self.palette_start) // self.colour_bytes
        return min(declared, max(stored, 0)) if self.pixels else declared

    @property
    def palette_start(self) -> int:
        return 14 + self.size

    @property
    def colour_bytes(self) -> int:
        return 3 if self.size == _OS2 else 4


def size(data: bytes) -> tuple[int, int] | None:
    """Width and height from the header, where a negative height means rows from the top; None if it is incomplete."""
    if len(data) < 26:
        return None
    if int.from_bytes(data[14:18], "little") == _OS2:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<Ii", data, 18)
    return width, abs(height)


def check_mode(data: bytes) -> None:
    """Check that the decoder reads right what the header, the masks and the palette declare.

    Raises Rejected (UNSUPPORTED_FORMAT, UNSUPPORTED_MODE, CORRUPT).
    """
    header = _header(data)
    if header is None:
        return
    if header.compression in _INSIDE and header.size in _WINDOWS:
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT,
            f"found a BMP image that holds a {_INSIDE[header.compression]} image, which is not read",
        )
    known = {_OS2: _READ, _OS2_LONG: _READ_LATER}.get(header.size, _READ_IN_WINDOWS)
    if (header.bits, header.compression) not in known:
        names = _COMPRESSIONS | (_OS2_COMPRESSIONS if header.size == _OS2_LONG else {})
        name = names.get(header.compression, f"compression {header.compression}")
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a BMP of {header.bits} bits with {name} is not read")
    if 0 < header.pixels < header.palette_start:
        raise Rejected(Reason.CORRUPT, f"BMP whose pixels begin at byte {header.pixels}, inside its header")
    if header.compression == _MASKS:
        _check_masks(data, header)
    if header.bits <= 8:
        _check_palette(data, header)
    if header.compression in (_RLE8, _RLE4):
        check_runs(data, header.pixels, (header.width, header.height), header.compression == _RLE4)


def palette_colours(data: bytes) -> int:
    """How many colours the palette has; 0 without one."""
    header = _header(data)
    return header.palette if header else 0


def check(data: bytes, limits: Limits) -> None:
    """Check the length. Raises Rejected (TRUNCATED)."""
    declared = max(int.from_bytes(data[2:6], "little"), 26)  # some files declare 0; the smallest header has 26
    if len(data) < declared:
        raise Rejected(Reason.TRUNCATED, f"BMP of {len(data):,} bytes, its header declares {declared:,} bytes")


def _header(data: bytes) -> Header | None:
    """The header; None if it is incomplete. Raises Rejected (UNSUPPORTED_FORMAT) for one of an age that is not read."""
    if len(data) < 18:
        return None
    pixels, length = struct.unpack_from("<II", data, 10)
    if not _OS2 <= length <= max(_WINDOWS):
        return None
    if length not in (_OS2, _OS2_LONG, *_WINDOWS):
        raise Rejected(
            Reason.UNSUPPORTED_FORMAT, f"found a BMP image with a header of {length} bytes, which is not read"
        )
    if len(data) < 14 + length:
        return None
    if length == _OS2:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        return Header(length, width, height, bits, _PLAIN, 0, pixels)
    width, height, _, bits, compression, _, _, _, colours = struct.unpack_from("<IiHHIIiiI", data, 18)
    return Header(length, width, height, bits, compression, colours, pixels)


def _check_masks(data: bytes, header: Header) -> None:
    if len(data) < 14 + 56:
        return
    red, green, blue, alpha = struct.unpack_from("<IIII", data, 14 + 40)
    if header.size < 56:
        alpha = 0  # what stands there is no mask
    colours = (red, green, blue)
    read = alpha in _ALPHA.get(colours, ())
    if header.bits < 32:
        read = colours in (_MASKS_OF_16 if header.bits == 16 else _MASKS_OF_24)
    if not read:
        words = ", ".join(f"{mask:x}" for mask in (*colours, alpha))
        raise Rejected(Reason.UNSUPPORTED_MODE, f"a BMP of {header.bits} bits with the masks {words} is not read")


def _check_palette(data: bytes, header: Header) -> None:
    """Pillow takes a palette of greys in order for none, and then the bits for those of greys."""
    colours, step, start = header.palette, header.colour_bytes, header.palette_start
    if header.colours > 256:
        raise Rejected(Reason.CORRUPT, f"BMP of {header.bits} bits with {header.colours:,} colours")
    if not colours:
        where = "where its palette does" if header.pixels == start else f"its palette at byte {start}"
        raise Rejected(Reason.CORRUPT, f"BMP whose pixels begin at byte {header.pixels}, {where}")
    palette = data[start : start + step * colours]
    greys = (0, 255) if colours == 2 else range(colours)
    in_order = all(palette[step * index : step * index + 3] == bytes([grey] * 3) for index, grey in enumerate(greys))
    plain = header.compression == _PLAIN
    if plain and in_order and header.bits != (1 if colours <= 2 else 8):
        raise Rejected(
            Reason.UNSUPPORTED_MODE, f"a BMP of {header.bits} bits with {colours} greys in order is not read"
        )
