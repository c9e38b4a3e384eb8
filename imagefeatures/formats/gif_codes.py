"""Whether the codes of a GIF name colours that there are: those of more than 8 bits may, and decoders cut them to 8."""

from __future__ import annotations

from collections.abc import Iterator

_COLOURS = 256
_LONGEST = 12  # bits of a code


def colours_beyond(data: bytes, start: int, pixels: int) -> Iterator[int]:
    """The numbers of colours above 255 that the codes of an image name, which has so many pixels.

    start: of its data, at the number of bits that a colour has, 9 to 11. What decoders refuse is left to them.
    """
    colour_bits = data[start]
    clear = 1 << colour_bits
    lengths, length = [1] * clear + [0, 0], 0  # of the pixels that a code stands for, and of those of the last code
    for code in _codes(data, start + 1, lengths):
        if code == clear:
            del lengths[clear + 2 :]
            length = 0
        if code == clear + 1 or code > len(lengths) or pixels <= 0:
            return
        if length and len(lengths) < 1 << _LONGEST:
            lengths.append(length + 1)
        if code == len(lengths):
            return
        if _COLOURS <= code < clear:
            yield code
        length = lengths[code]
        pixels -= length


def _codes(data: bytes, start: int, known: list[int]) -> Iterator[int]:
    """The codes of blocks that begin with their length. Each is as long as the number of codes known by then needs."""
    shortest = len(known).bit_length()
    bits = held = 0
    position = start
    while position < len(data) and data[position]:
        for byte in data[position + 1 : position + 1 + data[position]]:
            bits |= byte << held
            held += 8
            width = min(max(len(known).bit_length(), shortest), _LONGEST)
            if held >= width:
                yield bits & ((1 << width) - 1)
                bits >>= width
                held -= width
        position += 1 + data[position]
