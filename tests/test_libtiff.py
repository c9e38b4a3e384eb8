"""Codes of fax that libtiff cannot read: Pillow hears of none and passes the picture; it is corrupt."""

from __future__ import annotations

import ctypes
import ctypes.util
import io
import re
import threading
import time

import numpy as np
import pytest
from PIL import Image

from imagefeatures import images, isolation, libtiff
from imagefeatures.errors import Rejected
from imagefeatures.formats.tiff_codes import rows_of_fax_3
from imagefeatures.formats.tiff_layout import read_layout
from support.judging import LIMITS, decoded, rgb
from support.photos import encoded, picture
from support.shared import PREPROCESSING
from support.tiff_files import BLACK_IS_ZERO, LONG, Tiff

BITS = picture(400, 300)[..., 0] > 128
FAX = ["tiff_ccitt", "group3", "group4"]

reachable = pytest.mark.skipif(libtiff._set_handler is None, reason="the libtiff of this Pillow cannot be reached")


def fax(compression: str) -> bytes:
    return encoded(Image.fromarray(BITS), "TIFF", compression=compression)


def damaged(compression: str) -> bytes:
    """A fax with other bytes in its middle, of which Pillow says nothing."""
    data = bytearray(fax(compression))
    layout = read_layout(bytes(data))
    assert layout is not None
    at = int(layout.offsets[0] + layout.lengths[0] // 2)
    data[at : at + 40] = bytes(range(3, 123, 3))
    with Image.open(io.BytesIO(data)) as image:
        assert not np.array_equal(np.asarray(image), BITS)
    return bytes(data)


def why(data: bytes) -> tuple[str, str]:
    images.inspect(data, LIMITS)
    with pytest.raises(Rejected) as refused:
        images.decode(data, LIMITS, rgb)
    return str(refused.value.reason), refused.value.detail


@reachable
@pytest.mark.parametrize("compression", FAX)
def test_a_fax_with_a_code_that_there_is_not_is_corrupt(compression: str) -> None:
    reason, detail = why(damaged(compression))
    assert reason == "CORRUPT"
    assert detail.startswith("TIFF of fax with ")
    assert detail.endswith((" code that cannot be read", " codes that cannot be read"))


@reachable
def test_a_fault_is_that_of_one_picture_and_found_in_the_decode_process_too() -> None:
    child = isolation.Isolated(images.decode)
    batch = child.run([fax("group4"), damaged("group4"), fax("group4"), damaged("group3")], LIMITS, PREPROCESSING)
    child.stop()
    states = [isolation.DONE, isolation.REJECTED, isolation.DONE, isolation.REJECTED]
    assert list(batch.records["state"]) == states
    assert isolation.rejection(batch.records[1]).reason == "CORRUPT"
    assert np.array_equal(batch.pixels[0], batch.pixels[2])


@reachable
def test_what_libtiff_says_of_other_files_changes_no_reason() -> None:
    data = bytearray(encoded(picture(), "TIFF", compression="tiff_lzw"))
    layout = read_layout(bytes(data))
    assert layout is not None
    start, length = int(layout.offsets[0]), int(layout.lengths[0])
    data[start + 9 : start + length] = b"\xff" * (length - 9)
    assert why(bytes(data)) == ("CORRUPT", "OSError: decoder error -2")


@reachable
def test_the_handler_of_others_is_in_its_place_afterwards() -> None:
    heard, data = [], damaged("group3")
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
    other = kind(lambda function, form, values: heard.append(function))
    before = libtiff._set_handler(ctypes.cast(other, ctypes.c_void_p))
    try:
        why(data)
        assert heard == []
        with Image.open(io.BytesIO(data)) as image:
            image.load()
        assert heard
    finally:
        libtiff._set_handler(before)


@reachable
def test_what_is_heard_in_another_thread_is_not_this_pictures() -> None:
    class Meanwhile:
        def load(self) -> None:
            def decode_another() -> None:
                with Image.open(io.BytesIO(damaged("group3"))) as image:
                    image.load()

            thread = threading.Thread(target=decode_another)
            thread.start()
            thread.join()

    libtiff.load(Meanwhile())


def test_where_libtiff_cannot_be_reached_pillow_decodes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libtiff, "_set_handler", None)
    assert np.array_equal(decoded(fax("group4"))[..., 0], BITS * np.uint8(255))
    assert why(damaged("group4")) == ("TRUNCATED", "TIFF whose strip 0 of CCITT fax 4 ends before its last row")
    assert decoded(damaged("tiff_ccitt")).shape == (300, 400, 3)
    with Image.open(io.BytesIO(fax("group4"))) as image:
        libtiff.load(image)
    assert np.array_equal(np.asarray(image), BITS)  # decoded before its file was closed


def test_the_function_is_found_wherever_pillow_shows_it() -> None:
    shown = hasattr(ctypes.CDLL(libtiff._imaging.__file__), "TIFFSetErrorHandler")
    assert (libtiff._set_handler is not None) == shown


@pytest.mark.parametrize("file", [ctypes.util.find_library("c") or "no file", "no file"])
def test_a_pillow_that_hides_its_libtiff_gives_no_function(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libtiff._imaging, "__file__", file)
    assert libtiff._find_setter() is None


def test_only_what_the_decoders_of_fax_report_counts_and_each_picture_begins_anew() -> None:
    class Reporting:
        def __init__(self, *functions: bytes | None) -> None:
            self.functions = functions

        def load(self) -> None:
            for function in self.functions:
                libtiff._hear(function, None, None)

    others = (None, b"", b"LZWDecode", b"TIFFFetchDirectory")
    for functions, said in (
        ((*others, b"Fax4Decode"), "TIFF of fax with 1 code that cannot be read"),
        (others, ""),
        ((b"Fax3Decode1D", b"Fax4Decode"), "TIFF of fax with 2 codes that cannot be read"),
    ):
        found = ""
        try:
            libtiff.load(Reporting(*functions))  # type: ignore[arg-type]
        except Rejected as why:
            found = why.detail
        assert found == (said if libtiff._set_handler is not None else "")


# Rows that are missing

NUMBERS = {"group3": 3, "group4": 4}
NAMES = {"group3": "CCITT fax 3", "group4": "CCITT fax 4"}


def strip_of(bits: np.ndarray, compression: str, options: int = 0, reverse: bool = False) -> bytes:
    """The codes of a picture of bits. options: of fax 3: 1 for two dimensions, 4 for marks that end with a byte."""
    tags = {278: len(bits)} | ({292: options} if compression == "group3" else {})
    data = encoded(Image.fromarray(bits), "TIFF", compression=compression, tiffinfo=tags)
    layout = read_layout(data)
    assert layout is not None
    strip = data[int(layout.offsets[0]) :][: int(layout.lengths[0])]
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in strip) if reverse else strip


def lacking(compression: str, bits: np.ndarray, lost: dict[int, int], options: int = 0, **how: int | bool) -> bytes:
    """A fax whose strips or tiles lack so many of their last rows. lost: by the number of the strip."""
    numbers = iter(range(999))
    reverse = bool(how.get("reversed_bits"))

    def encode(part: np.ndarray) -> bytes:
        rows = len(part) - lost.get(next(numbers), 0)
        return strip_of(part[:rows, :, 0].astype(bool), compression, options, reverse)

    tags = {292: (LONG, (options,))} if options else {}
    samples, number = bits[..., None].astype(np.int64), NUMBERS[compression]
    return Tiff(samples, 1, BLACK_IS_ZERO, compression=number, encode=encode, tags=tags, **how).bytes()  # type: ignore[arg-type]


WAYS: list[dict[str, int | bool]] = [
    {},
    {"rows": 300},
    {"rows": 64},
    {"rows": 7},
    {"tile": 128},
    {"reversed_bits": True},
]


@pytest.mark.parametrize("compression", NUMBERS)
@pytest.mark.parametrize("options", [0, 1, 4, 5])
@pytest.mark.parametrize("how", WAYS, ids=str)
def test_fax_of_all_its_rows_is_whole(compression: str, options: int, how: dict[str, int | bool]) -> None:
    if compression == "group4" and options:
        return
    for bits in (BITS, np.zeros_like(BITS), np.ones_like(BITS)):
        found = decoded(lacking(compression, bits, {}, options, **how))
        assert np.array_equal(found[..., 0], bits * np.uint8(255))


@pytest.mark.parametrize("compression", NUMBERS)
@pytest.mark.parametrize("options", [0, 1, 4, 5])
@pytest.mark.parametrize(
    ("how", "part", "rows"),
    [
        *(({}, 0, 1), ({}, 0, 2), ({}, 0, 150), ({"reversed_bits": True}, 0, 1), ({"tile": 128}, 5, 3)),
        *(({"rows": 64}, 0, 1), ({"rows": 64}, 2, 5), ({"rows": 64}, 4, 1)),
        *(({"rows": 3}, 0, 1), ({"rows": 3}, 66, 2), ({"rows": 3}, 99, 1)),
    ],
)
def test_a_fax_without_its_last_rows_is_truncated(
    compression: str, options: int, how: dict[str, int | bool], part: int, rows: int
) -> None:
    if compression == "group4" and options:
        return
    what = "tile" if "tile" in how else "strip"
    for bits in (BITS, np.zeros_like(BITS), np.ones_like(BITS)):
        reason, detail = why(lacking(compression, bits, {part: rows}, options, **how))
        if reason == "TRUNCATED":
            assert detail == f"TIFF whose {what} {part} of {NAMES[compression]} ends before its last row"
        else:  # it has read on in the next strip, as if its codes were this one's
            assert (compression, reason) == ("group3", "CORRUPT")
            assert detail.startswith("TIFF of fax with ")


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 9, 31])
def test_a_narrow_fax_of_any_last_row_is_whole(width: int) -> None:
    for number in range(2 ** min(width, 5)):
        row = [bool(number >> place & 1) for place in range(width)]
        bits = np.broadcast_to(row, (5, width))
        assert np.array_equal(decoded(lacking("group4", bits, {}))[..., 0], bits * np.uint8(255))
        assert why(lacking("group4", bits, {0: 1}))[0] == "TRUNCATED"


def test_fax_4_without_a_mark_at_its_end_is_whole_and_hides_no_other_strip() -> None:
    def without_end(part: np.ndarray) -> bytes:
        strip = strip_of(part[..., 0].astype(bool), "group4")
        codes = "".join(f"{byte:08b}" for byte in strip).rstrip("0").removesuffix("000000000001" * 2)
        return bytes(int(codes[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(codes), 8))

    samples = BITS[..., None].astype(np.int64)
    for rows in (300, 50):
        data = Tiff(samples, 1, BLACK_IS_ZERO, compression=4, encode=without_end, rows=rows).bytes()
        assert np.array_equal(decoded(data)[..., 0], BITS * np.uint8(255))
    whole = lacking("group4", BITS, {3: 1}, rows=50)
    layout = read_layout(whole)
    assert layout is not None
    start, length = int(layout.offsets[0]), int(layout.lengths[0])
    cut = whole[: start + length - 3] + b"\xff" * 3 + whole[start + length :]  # other codes than the mark
    with pytest.raises(Rejected, match="strip 3 of CCITT fax 4 ends before its last row"):
        libtiff.check_rows(cut)


def fax_3(*strips: str, rows: int) -> bytes:
    """A picture of all rows in strips of fax 3. strips: the bits of each."""
    parts = iter(int(strip.ljust(-(-len(strip) // 8) * 8, "0"), 2).to_bytes(-(-len(strip) // 8)) for strip in strips)
    samples = BITS[..., None].astype(np.int64)
    return Tiff(samples, 1, BLACK_IS_ZERO, compression=3, encode=lambda _: next(parts), rows=rows).bytes()


MARK = "0" * 11 + "1"


@pytest.mark.parametrize("rows", [300, 50, 1])
def test_fax_3_without_a_mark_before_any_row_is_whole_and_one_without_the_first_mark_is_not(rows: int) -> None:
    marked = ["".join(f"{byte:08b}" for byte in strip_of(BITS[at : at + rows], "group3")) for at in range(0, 300, rows)]
    plain = [re.sub(f"(0*){MARK}", r"\1", strip) for strip in marked]
    for strips in (marked, plain, [strip + 6 * MARK for strip in marked]):
        assert np.array_equal(decoded(fax_3(*strips, rows=rows))[..., 0], BITS * np.uint8(255))
    if rows > 1:  # the decoder looks for the first mark, and loses the row before it
        reason, _ = why(fax_3(*(strip.removeprefix(MARK) for strip in marked), rows=rows))
        assert reason in ("TRUNCATED", "CORRUPT")


def test_the_marks_of_fax_3_are_counted_in_no_time_whatever_fills_them() -> None:
    row, layout = f"{MARK}00110101", read_layout(fax("group3"))
    assert layout is not None
    for strip, rows in (
        (row * 200_000, 200_000),
        (row + "0" * 9_000_000, 1),
        (MARK + "0" * 9_000_000 + row, 1),
        (row + 6 * MARK, 1),
        (6 * MARK, 0),
        ("00110101" * 9, None),
        ("", None),
    ):
        codes = int("1" + strip, 2).to_bytes(len(strip) // 8 + 1) if strip else b""
        start = time.process_time()
        assert rows_of_fax_3(codes, layout) == rows
        assert time.process_time() - start < 5
