"""JPEG and fax in a TIFF that have lost codes: found where the decoder would pass other pixels."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.formats import tiff
from imagefeatures.formats.tiff_layout import read_layout
from support.judging import LIMITS, decoded
from support.photos import encoded, picture
from support.tiff_files import BLACK_IS_ZERO, JPEG, LONG, SHORT, YCBCR, Tiff

PIXELS = picture(64, 48).astype(np.int64)
GREY = Tiff(PIXELS[..., :1], 8, BLACK_IS_ZERO, compression=JPEG, encode=lambda part: stream(part))
FAX = ["tiff_ccitt", "group3", "group4"]


def stream(part: np.ndarray) -> bytes:
    return encoded(part[..., 0].astype(np.uint8), quality=98)


def places(data: bytes) -> list[tuple[int, int]]:
    """Where each strip or tile begins and ends."""
    layout = read_layout(data)
    assert layout is not None
    return [(int(start), int(start + size)) for start, size in zip(layout.offsets, layout.lengths, strict=True)]


def changed(data: bytes, start: int, values: bytes) -> bytes:
    return data[:start] + values + data[start + len(values) :]


def why(data: bytes) -> tuple[str, str]:
    with pytest.raises(Rejected) as refused:
        images.inspect(data, LIMITS)
    return str(refused.value.reason), refused.value.detail


# JPEG


@pytest.mark.parametrize("made", [GREY, replace(GREY, rows=16), replace(GREY, tile=32)], ids=["one", "strips", "tiles"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_each_part_of_jpeg_data_has_an_end_marker(made: Tiff, order: str) -> None:
    data = replace(made, order=order).bytes()
    assert np.abs(decoded(data)[..., 0].astype(int) - PIXELS[..., 0]).max() < 9
    for index, (start, end) in enumerate(places(data)):
        what = "tile" if made.tile else "strip"
        detail = f"TIFF whose {what} {index} of JPEG data has no end marker"
        for lost in (1, 2, 7, (end - start) // 2):
            assert why(changed(data, end - lost, bytes(lost))) == ("TRUNCATED", detail)
        assert why(changed(data, start, bytes(end - start))) == ("TRUNCATED", detail)


def test_bytes_behind_an_end_marker_do_not_matter() -> None:
    expected = decoded(GREY.bytes())
    for behind in (b"\0", bytes(500), b"\xff", b"any bytes"):
        assert np.array_equal(decoded(replace(GREY, encode=lambda part, b=behind: stream(part) + b).bytes()), expected)


def test_an_end_marker_before_the_scan_is_none() -> None:
    def commented(part: np.ndarray) -> bytes:
        whole = stream(part)
        return whole[:2] + b"\xff\xfe\0\6\xff\xd9\xff\xd9" + whole[2:]

    data = replace(GREY, encode=commented).bytes()
    tiff.check(data, LIMITS)
    ((_, end),) = places(data)
    assert why(changed(data, end - 2, b"\0\0"))[0] == "TRUNCATED"


def test_jpeg_data_without_a_length_are_left_to_the_decoder() -> None:
    tiff.check(replace(GREY, tags={279: (LONG, (0,))}).bytes(), LIMITS)


def test_jpeg_data_of_several_scans_have_their_end_marker_behind_the_last() -> None:
    def progressive(part: np.ndarray) -> bytes:
        return encoded(part.astype(np.uint8), progressive=True)

    data = Tiff(PIXELS, 8, YCBCR, compression=JPEG, encode=progressive).bytes()
    tiff.check(data, LIMITS)
    ((_, end),) = places(data)
    assert why(changed(data, end - 2, b"\0\0"))[0] == "TRUNCATED"


SIDES = {"one": GREY, "strips": replace(GREY, rows=20), "tiles": replace(GREY, tile=32)}
PARTS = {"one": ("strip 0", (64, 48)), "strips": ("strip 2", (64, 8)), "tiles": ("tile 3", (32, 16))}


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("lost", [(1, 0), (0, 1), (30, 0), (0, 7), (30, 7)], ids=str)
def test_jpeg_data_have_all_rows_and_columns_that_are_shown(kind: str, lost: tuple[int, int]) -> None:
    """The decoder leaves the others as they were, without a word."""
    made, (place, (width, height)) = SIDES[kind], PARTS[kind]
    count, numbers = int(place.split()[1]), iter(range(99))
    columns, rows = width - lost[0], height - lost[1]

    def encode(part: np.ndarray, rows: int = rows, columns: int = columns) -> bytes:
        return stream(part[:rows, :columns] if next(numbers) == count else part)

    detail = f"TIFF whose {place} holds a JPEG of {columns} × {rows}, its pixels take {width} × {height}"
    assert why(replace(made, encode=encode).bytes()) == ("CORRUPT", detail)


def test_jpeg_data_of_a_plane_of_colours_may_have_fewer_pixels() -> None:
    """Of such a file it is told what is not read; it is not called corrupt."""
    numbers = iter(range(99))

    def encode(part: np.ndarray) -> bytes:
        return stream(part[::2, ::2] if next(numbers) >= 4 else part)

    made = Tiff(PIXELS, 8, YCBCR, compression=JPEG, planes=True, tile=32, encode=encode, tags={530: (SHORT, (2, 2))})
    reason, detail = why(made.bytes())
    assert reason == "UNSUPPORTED_MODE"
    assert detail.endswith("planes apart, JPEG has colours for several pixels each")
    assert why(replace(made, encode=lambda part: stream(part[::2, ::2])).bytes())[0] == "CORRUPT"


def test_a_tile_of_jpeg_data_may_end_with_the_picture() -> None:
    whole = decoded(replace(GREY, tile=32).bytes())
    for shown in (16, 20, 31):
        cut = replace(
            GREY, tile=32, encode=lambda part, rows=shown: stream(part[:rows] if not part[-1].any() else part)
        )
        assert np.abs(decoded(cut.bytes())[..., 0].astype(int) - whole[..., 0]).max() < 20


def test_jpeg_data_bring_every_scan() -> None:
    def progressive(part: np.ndarray, scans: int) -> bytes:
        data = encoded(part[..., 0].astype(np.uint8), progressive=True)
        starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
        return data if scans >= len(starts) else data[: starts[scans]] + b"\xff\xd9"

    decoded(replace(GREY, encode=lambda part: progressive(part, 99)).bytes())
    detail = "JPEG whose last scans are missing: component 1 is incomplete"
    for scans in (1, 2, 3, 4, 5):
        assert why(replace(GREY, encode=lambda part, n=scans: progressive(part, n)).bytes()) == ("TRUNCATED", detail)


# Fax


def fax(compression: str, bits: np.ndarray | None = None) -> bytes:
    bits = picture(400, 300)[..., 0] > 128 if bits is None else bits
    return encoded(Image.fromarray(bits), "TIFF", compression=compression)


def pictures_of_bits() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0)
    return {
        **{f"white, {width} wide": np.ones((40, width), bool) for width in (1, 7, 8, 9, 64, 1728, 2623, 5000)},
        **{f"black, {width} wide": np.zeros((40, width), bool) for width in (1, 7, 8, 9, 64, 1728, 2623, 5000)},
        **{f"noise of {share}": noise.random((200, 333)) < share for share in (0.001, 0.1, 0.5, 0.9, 0.999)},
        "stripes": np.arange(300)[None] // np.arange(1, 100)[:, None] % 2 == 0,
        "lines": np.repeat(np.arange(300)[:, None] % 2 == 0, 2000, axis=1),
        "white below a dot": np.pad(np.zeros((1, 1), bool), ((0, 999), (0, 999)), constant_values=True),
    }


@pytest.mark.parametrize("compression", FAX)
def test_fax_of_any_picture_is_whole(compression: str) -> None:
    for name, bits in pictures_of_bits().items():
        assert np.array_equal(decoded(fax(compression, bits))[..., 0], bits * np.uint8(255)), name


@pytest.mark.parametrize("compression", FAX)
def test_a_wide_fax_is_decoded_in_no_time(compression: str) -> None:
    data, start = fax(compression, np.ones((1, 3_000_000), bool)), time.process_time()
    assert decoded(data).all()
    assert time.process_time() - start < 5


def codes(compression: str) -> bytes:
    """The codes of such a fax, which is one strip."""
    data = fax(compression)
    ((start, end),) = places(data)
    return data[start:end]


def wrapped(number: int, strip: bytes, reverse: bool = False) -> bytes:
    """A fax with these codes. number: of the compression. reverse: the bits of each byte."""
    if reverse:
        strip = bytes(int(f"{byte:08b}"[::-1], 2) for byte in strip)
    samples = np.zeros((300, 400, 1), np.int64)
    made = Tiff(samples, 1, BLACK_IS_ZERO, compression=number, reversed_bits=reverse, encode=lambda _: strip)
    return made.bytes()


NAMES = {"tiff_ccitt": (2, "CCITT RLE"), "group4": (4, "CCITT fax 4")}


@pytest.mark.parametrize("compression", NAMES)
@pytest.mark.parametrize("reverse", [False, True], ids=["as usual", "bits in reverse"])
def test_zeros_in_place_of_fax_codes_are_corrupt(compression: str, reverse: bool) -> None:
    (number, name), whole = NAMES[compression], codes(compression)
    assert np.array_equal(decoded(wrapped(number, whole, reverse)), decoded(fax(compression)))
    size = len(whole)
    for first, last in ((0, 16), (size // 2, size // 2 + 16), (size // 4, size // 2), (size // 2, size), (0, size)):
        hole = wrapped(number, changed(whole, first, bytes(last - first)), reverse)
        assert why(hole) == ("CORRUPT", f"TIFF whose strip 0 has zeros in place of codes of {name}")


@pytest.mark.parametrize("reverse", [False, True], ids=["as usual", "bits in reverse"])
def test_zeros_behind_the_end_of_fax_codes_do_not_matter(reverse: bool) -> None:
    whole = codes("group4")
    bits = int.from_bytes(whole)
    unused = (bits & -bits).bit_length() - 1
    assert bits >> unused & 0xFFFFFF == 0x001001  # two ends of line: the end of the block
    for shift in range(8):  # where it ends in a byte depends on the picture
        shifted = (bits >> unused << shift).to_bytes(len(whole) + 1)
        tiff.check(wrapped(4, shifted + bytes(99), reverse), LIMITS)
    assert np.array_equal(decoded(wrapped(4, whole + bytes(99), reverse)), decoded(fax("group4")))
    for almost in (b"\1\1", b"\0\x18", b"\0\3"):
        assert why(wrapped(4, whole[:99] + b"\xf0" + almost + bytes(99), reverse))[0] == "CORRUPT"
    without_end = (bits >> unused + 24).to_bytes(len(whole))
    tiff.check(wrapped(4, without_end + bytes(14), reverse), LIMITS)
    assert why(wrapped(4, without_end + bytes(16), reverse))[0] == "CORRUPT"


@pytest.mark.parametrize("reverse", [False, True], ids=["as usual", "bits in reverse"])
def test_fax_of_the_third_kind_may_be_filled_with_zeros_but_not_at_its_end(reverse: bool) -> None:
    whole = codes("group3")
    half = len(whole) // 2
    tiff.check(wrapped(3, changed(whole, half, bytes(999)), reverse), LIMITS)
    detail = "TIFF whose strip 0 has zeros in place of codes of CCITT fax 3"
    assert why(wrapped(3, whole[:half] + bytes(256), reverse)) == ("CORRUPT", detail)
    assert why(wrapped(3, bytes(256), reverse)) == ("CORRUPT", detail)
    tiff.check(wrapped(3, whole[:half].rstrip(b"\0") + bytes(255), reverse), LIMITS)
    tiff.check(wrapped(3, whole[:half].rstrip(b"\0") + b"?" + bytes(255), reverse), LIMITS)  # whatever stands before
    for end in (b"\0\x01", b"\0\x10", b"\0\x80", b"\x00\x18", b"\0\1\x80", b"\0\xc0"):
        tiff.check(wrapped(3, whole[:half] + b"\xf0" + end + bytes(999), reverse), LIMITS)
    for end in (b"\x01", b"\1\1", b"\0\3\x80", b"\0\x70"):
        assert why(wrapped(3, whole[:half] + b"\xff" + end + bytes(999), reverse)) == ("CORRUPT", detail)
