"""The colour matrix that the bitstream of a HEIC file declares, which counts where the file around it names none."""

from __future__ import annotations

from collections.abc import Iterator

from imagefeatures.formats.bits import Bits

_PARAMETERS = 33  # kind of the unit that says how a sequence of pictures is coded
_LONGEST = 4096  # bytes of it, with all scaling lists and sets of reference pictures
_FULL_CHROMA = 3  # chroma_format_idc of 4:4:4
_SIZE_IN_FULL = 255  # the aspect ratio that is given by two numbers


def colour_matrices(configuration: bytes) -> Iterator[int]:
    """The numbers of the colour matrices in ITU-T H.273, of each sequence that a box hvcC holds the parameters of.

    One that names none, or whose parameters cannot be read to there, has none: the decoder has to take or refuse it.
    configuration: the content of the box.
    """
    for unit in _units(configuration):
        if len(unit) > 2 and unit[0] >> 1 & 63 == _PARAMETERS and not (unit[0] & 1 or unit[1] >> 3):  # of layer 0
            try:
                matrix = _matrix(Bits(unit[2 : 2 + _LONGEST].replace(b"\0\0\3", b"\0\0")))
            except ValueError:
                continue
            if matrix is not None:
                yield matrix


def _units(configuration: bytes) -> Iterator[bytes]:
    position = 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        count = int.from_bytes(configuration[position + 1 : position + 3])
        position += 3
        for _ in range(count):
            if position >= len(configuration):
                return
            size = int.from_bytes(configuration[position : position + 2])
            yield configuration[position + 2 : position + 2 + size]
            position += 2 + size


def _matrix(bits: Bits) -> int | None:
    """What seq_parameter_set_rbsp of ITU-T H.265 says in its part for displays; all before it is read over."""
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_profiles(bits, layers)
    bits.golomb()
    if bits.golomb() == _FULL_CHROMA:
        bits.take(1)
    _skip_numbers(bits, 2)  # the size
    if bits.take(1):
        _skip_numbers(bits, 4)  # what is cut off at its sides
    _skip_numbers(bits, 2)  # depths
    order_bits = bits.golomb() + 4
    _skip_numbers(bits, 3 * (layers + 1 if bits.take(1) else 1))
    _skip_numbers(bits, 6)  # sizes of blocks
    if bits.take(1) and bits.take(1):
        _skip_scaling_lists(bits)
    bits.take(2)
    if bits.take(1):  # samples as they are
        bits.take(8)
        _skip_numbers(bits, 2)
        bits.take(1)
    _skip_reference_sets(bits)
    if bits.take(1):
        for _ in range(bits.golomb()):
            bits.take(order_bits + 1)
    bits.take(2)
    return _matrix_for_displays(bits) if bits.take(1) else None


def _matrix_for_displays(bits: Bits) -> int | None:
    if bits.take(1) and bits.take(8) == _SIZE_IN_FULL:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if not bits.take(1):
        return None
    bits.take(4)
    if not bits.take(1):
        return None
    bits.take(16)  # primaries and transfer
    return bits.take(8)


def _skip_numbers(bits: Bits, count: int) -> None:
    for _ in range(count):
        bits.golomb()


def _skip_profiles(bits: Bits, layers: int) -> None:
    """layers: how many there are besides the whole."""
    bits.take(96)
    has = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in has:
        bits.take(88 * profile + 8 * level)


def _skip_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if bits.take(1):
                _skip_numbers(bits, (size > 1) + min(64, 16 << 2 * size))
            else:
                bits.golomb()


def _skip_reference_sets(bits: Bits) -> None:
    """Which earlier and later pictures a picture may be made from. One set may be told by what it adds to another."""
    pictures = 0  # of the set before
    for number in range(bits.golomb()):  # of a number that is no number of sets the bits come to an end first
        if number and bits.take(1):
            bits.take(1)
            bits.golomb()
            pictures = sum(bits.take(1) or bits.take(1) for _ in range(pictures + 1))
        else:
            pictures = bits.golomb() + bits.golomb()
            for _ in range(pictures):
                bits.golomb()
                bits.take(1)
