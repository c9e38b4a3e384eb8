"""What an AV1 bitstream declares for itself: its size, which the decoder allocates whatever the file around it says.

And its colour matrix, which counts where the file names none.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagefeatures.formats.bits import Bits

_SEQUENCE_HEADER = 1
_HIGH, _PROFESSIONAL = 1, 2  # profiles
_UNSPECIFIED = 2  # the matrix of a header that names none
_LONGEST = 512  # bytes that a sequence header may have: of 32 operating points


def frame_size(data: bytes) -> tuple[int, int] | None:
    """The largest width and height that a bitstream's first sequence header allows; None without one.

    Raises ValueError when the header is cut.
    """
    header = _header(data)
    return _read_size(Bits(header[:_LONGEST])) if header is not None else None


def colour_matrix(data: bytes) -> int | None:
    """The number of the colour matrix in ITU-T H.273 that the same header names; None without a header.

    Raises ValueError when the header is cut.
    """
    header = _header(data)
    if header is None:
        return None
    bits = Bits(header[:_LONGEST])
    _read_size(bits)  # so there is a first byte
    profile, reduced = header[0] >> 5, bool(header[0] & 8)
    _skip_tools(bits, reduced)
    deep = bits.take(1)
    if profile == _PROFESSIONAL and deep:
        bits.take(1)  # 12 bits
    if profile != _HIGH:
        bits.take(1)  # grey
    if not bits.take(1):
        return _UNSPECIFIED
    bits.take(16)  # primaries and transfer
    return bits.take(8)


def _header(data: bytes) -> bytes | None:
    """The content of the first sequence header."""
    return next((content for kind, content in _units(data) if kind == _SEQUENCE_HEADER), None)


def _read_size(bits: Bits) -> tuple[int, int]:
    """Width and height, and all that stands before them."""
    bits.take(4)  # profile, still picture
    if bits.take(1):  # a header that is reduced to what a still picture needs
        bits.take(5)
    else:
        _skip_operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    return bits.take(width_bits) + 1, bits.take(height_bits) + 1


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, content) of each open bitstream unit."""
    position = 0
    while position < len(data):
        head = data[position]
        position += 2 if head & 4 else 1  # with an extension
        size, shift = len(data) - position, 0
        if head & 2:
            size = 0
            while position < len(data) and shift < 56:
                byte = data[position]
                position += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        yield head >> 3 & 15, data[position : position + size]
        position += size


def _skip_operating_points(bits: Bits) -> None:
    delay_bits = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):  # the number of ticks, with as many bits as there are zeros before it
            zeros = 0
            while not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):  # decoder model
            delay_bits = bits.take(5) + 1
            bits.take(42)
    has_display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:  # levels from 4.0 on have a tier
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_display_delay and bits.take(1):
            bits.take(4)


def _skip_tools(bits: Bits, reduced: bool) -> None:
    """What stands between the size and the colours: which tools of the codec are in use."""
    if not reduced and bits.take(1):  # numbers of frames
        bits.take(7)
    bits.take(3)
    if not reduced:
        bits.take(4)
        has_order = bits.take(1)
        bits.take(2 * has_order)
        chosen_later = bits.take(1)  # whether each frame says what is a screen's content
        if chosen_later or bits.take(1):
            motion_chosen_later = bits.take(1)
            bits.take(1 - motion_chosen_later)
        bits.take(3 * has_order)
    bits.take(3)
