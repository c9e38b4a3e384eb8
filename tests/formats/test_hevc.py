"""The colour matrix in the parameters of an HEVC sequence, whatever stands before it: bits as ITU-T H.265 has them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from imagefeatures.errors import Rejected
from imagefeatures.formats import heif, hevc
from imagefeatures.formats.bits import Bits
from support.heif_boxes import Heif, box, grid, hvcc, ispe


def ue(number: int) -> str:
    """Exp-Golomb code."""
    digits = f"{number + 1:b}"
    return "0" * (len(digits) - 1) + digits


@dataclass(frozen=True)
class Parameters:
    """The bits of each part that may differ. displays: of the part for displays; empty: there is none."""

    layers: str = f"{0:03b}1" + "10" * 48
    chroma: str = ue(1)
    window: str = "0"
    order: str = ue(4) + "1" + ue(0) * 3
    lists: str = "0"
    samples: str = "0"
    sets: str = ue(0)
    long_term: str = "0"
    displays: str = "00" + "1" + "101" + "1" + "1" + f"{9:08b}" + f"{16:08b}" + f"{14:08b}"

    def bits(self) -> str:
        head = f"{5:04b}" + self.layers + ue(0) + self.chroma + ue(639) + ue(479) + self.window + ue(2) * 2
        tools = ue(0) + ue(3) + ue(0) + ue(3) + ue(1) * 2 + self.lists + "10" + self.samples + self.sets
        return head + self.order + tools + self.long_term + "01" + ("1" + self.displays if self.displays else "0")

    def unit(self, kind: int = 33, layer: int = 0) -> bytes:
        """With the bytes between that keep what marks the beginning of a unit out of it."""
        bits = self.bits() + "1"
        bits += "0" * (-len(bits) % 8)
        content = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        escaped = bytearray()
        for byte in content:
            if escaped[-2:] == b"\0\0" and byte < 4:
                escaped.append(3)
            escaped.append(byte)
        return bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | 1]) + escaped


def configuration(*arrays: list[bytes]) -> bytes:
    made = bytes(22) + bytes([len(arrays)])
    for units in arrays:
        made += b"\xa1" + len(units).to_bytes(2) + b"".join(len(unit).to_bytes(2) + unit for unit in units)
    return made


def matrices(*units: bytes) -> list[int]:
    return list(hevc.colour_matrices(configuration(list(units))))


PLAIN = Parameters()
ALL_LISTS = "11" + "".join(
    "".join("1" + ue(5) * ((size > 1) + min(64, 16 << 2 * size)) if of % 2 else "0" + ue(0) for of in range(count))
    for size, count in enumerate((6, 6, 6, 2))
)
# Two earlier pictures and a later one; a set from them, which leaves one of four out; one from that; one of its own.
SETS = ue(4) + ue(2) + ue(1) + (ue(0) + "1") * 3 + "11" + ue(5) + "1" + "01" + "00" + "01" + "10" + ue(0) + "01" * 4
SETS += "0" + ue(1) + ue(0) + ue(3) + "0"
BEFORE = {
    "nothing": {},
    "two more layers": {
        "layers": f"{2:03b}1" + "10" * 48 + "1101" + "00" * 6 + "10" * 48 + "01" * 4,
        "order": ue(4) + "1" + ue(0) * 9,
    },
    "4:4:4": {"chroma": ue(3) + "0"},
    "4:2:2": {"chroma": ue(2)},
    "a window": {"window": "1" + ue(0) + ue(3) + ue(2) + ue(70000)},
    "long numbers of pictures": {"order": ue(12) + "0" + ue(5) + ue(6) + ue(7), "long_term": "1" + ue(2) + "10" * 17},
    "numbers of each layer": {
        "layers": f"{1:03b}1" + "10" * 48 + "00" + "00" * 7, "order": ue(4) + "1" + ue(3) * 6,
    },
    "scaling lists by default": {"lists": "10"},
    "scaling lists": {"lists": ALL_LISTS},
    "samples as they are": {"samples": "1" + "01110111" + ue(0) + ue(2) + "1"},
    "sets of reference pictures": {"sets": SETS},
}  # fmt: skip


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_the_matrix_is_found_behind_everything_that_may_stand_before_it(before: dict[str, str]) -> None:
    found = replace(PLAIN, **before)
    assert matrices(found.unit()) == [14]
    assert matrices(replace(found, displays="").unit()) == []


@pytest.mark.parametrize(
    ("displays", "found"),
    [
        ("000", []),
        ("00" + "1" + "101" + "10", []),  # what signal it is, and no colours
        ("1" + f"{1:08b}" + "0" + "1" + "10111" + f"{1:08b}" * 2 + f"{8:08b}", [8]),
        ("1" + f"{255:08b}" + "10" * 16 + "11" + "1" + "10111" + f"{1:08b}" * 2 + f"{10:08b}", [10]),
        ("01" + "0" + "1" + "10111" + f"{0:08b}" * 2 + f"{0:08b}", [0]),
    ],
)
def test_what_is_said_for_displays_may_lack_it(displays: str, found: list[int]) -> None:
    assert matrices(replace(PLAIN, displays=displays).unit()) == found


def test_bytes_that_keep_marks_out_of_a_unit_are_none_of_its_bits() -> None:
    square = "1" + f"{255:08b}" + "0" * 32  # an aspect ratio of 0 to 0
    unit = replace(PLAIN, displays=square + "0" + "1" + "10111" + f"{1:08b}" * 2 + f"{10:08b}").unit()
    assert b"\0\0\3" in unit
    assert matrices(unit) == [10]


def test_other_units_and_other_layers_say_nothing() -> None:
    of_first, of_second = PLAIN.unit(), replace(PLAIN, displays=PLAIN.displays[:-4] + "1001").unit()
    other = [PLAIN.unit(kind=32), PLAIN.unit(kind=34), PLAIN.unit(layer=1), PLAIN.unit(layer=32)]
    assert matrices(*other) == []
    assert matrices(*other, of_first, b"", b"B", b"B\1", of_second) == [14, 9]
    assert list(hevc.colour_matrices(configuration([other[0]], [of_first], [other[1]]))) == [14]
    assert matrices(*[b""] * 256, of_first) == [14]


def test_parameters_that_are_cut_or_have_no_end_say_nothing() -> None:
    whole = PLAIN.unit()
    for cut in range(len(whole) - 1):
        assert matrices(whole[:cut]) == []
    made = configuration([whole])
    for cut in range(len(made) - 1):
        assert list(hevc.colour_matrices(made[:cut])) == []
    assert list(hevc.colour_matrices(bytes(22) + b"\xff" + b"\xa1\xff\xff" + bytes(40))) == []
    for sets in (ue(2) + ue(2**31) * 2, "0" * 33 + "1" + "0" * 33):
        assert matrices(replace(PLAIN, sets=sets).unit()) == []
    long = replace(PLAIN, long_term="1" + ue(4000) + "10" * 18000)
    assert matrices(long.unit()) == []


def test_numbers_in_exp_golomb_code() -> None:
    numbers = [0, 1, 2, 3, 7, 254, 2**32 - 2, 2**32]
    bits = "".join(map(ue, numbers))
    reader = Bits(int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8)))
    assert [reader.golomb() for _ in numbers] == numbers
    with pytest.raises(ValueError, match="has no end"):
        Bits(bytes(20)).golomb()
    with pytest.raises(ValueError, match="is cut"):
        Bits(b"\1").golomb()
    three = Bits(b"\xa5")
    assert (three.take(3), three.take(0), three.take(5)) == (5, 0, 5)


@pytest.mark.parametrize("in_a_grid", [False, True])
@pytest.mark.parametrize("named", [None, 9, 10])
@pytest.mark.parametrize("coded", [1, 9, 14])
def test_a_picture_is_judged_by_the_matrix_of_its_bitstream_where_the_file_names_none(
    coded: int, named: int | None, in_a_grid: bool
) -> None:
    parameters = replace(PLAIN, displays=PLAIN.displays[:-8] + f"{coded:08b}").unit()
    properties = [(ispe(64, 48), False), (hvcc(parameters=parameters), True)]
    if named is not None:
        properties.append((box(b"colr", b"nclx" + (1).to_bytes(2) * 2 + named.to_bytes(2) + b"\x80"), False))
    picture = (b"hvc1", b"pixels", properties)
    whole = (b"grid", grid(1, 1, 64, 48), [(ispe(64, 48), False)])
    references = [(b"dimg", 1, [2])]
    file = Heif({1: whole, 2: picture}, references=references) if in_a_grid else Heif({1: picture})
    counts = coded if named is None else named
    if counts in (10, 14):
        with pytest.raises(Rejected, match=f"^UNSUPPORTED_MODE: HEIC with the colour matrix {counts} of ITU-T H.273$"):
            heif.check_mode(file.bytes(), "HEIC")
    else:
        heif.check_mode(file.bytes(), "HEIC")
