"""PNGs whose rows compiled code makes have Pillow's pixels, and what is rejected has Pillow's reason."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from imagefeatures import bicubic, inflated
from imagefeatures.formats import png as png_chunks
from support.directly import noted, outcome
from support.inflating import FILTERS, PHOTO, by_pillow, compare, noise, png
from support.photos import encoded, picture, png_chunk, turned

pytestmark = pytest.mark.skipif(bicubic.compiled is None, reason="the compiled code is not installed here")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """From now on: of each file that the compiled code may take, whether it has made the picture."""
    return noted(inflated, monkeypatch)


def test_the_code_is_used_where_it_is_installed() -> None:
    inflated._is_pillows.cache_clear()
    assert inflated._is_pillows()


@pytest.mark.parametrize(("mode", "channels"), inflated.CHANNELS.items())
def test_it_is_tried_on_each_filter_after_each(mode: str, channels: int, asked: list[bool]) -> None:
    data = inflated.sample(mode, 23)
    stream = png_chunks.plain_stream(data, channels)
    assert stream is not None
    rows = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(-1, 1 + 23 * channels)
    kinds = rows[:, 0].tolist()
    assert set(pairwise(kinds)) >= {(first, second) for first in range(5) for second in range(5)}
    assert len(np.unique(rows[:, 1:])) == 256
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", FILTERS.values(), ids=FILTERS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (2, 1), (300, 1), (31, 17), (3, 1000)])
def test_any_filter_has_pillows_pixels(kind: int, channels: int, height: int, width: int, asked: list[bool]) -> None:
    data = png(noise(kind, height, width, channels, [kind]), width, channels, pieces=3)
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_has(mode: str, orientation: int, asked: list[bool]) -> None:
    data = encoded(PHOTO.convert(mode), "PNG", exif=turned(orientation), icc_profile=b"no profile")
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


def _left_to_pillow() -> dict[str, bytes]:
    colours = Image.fromarray(picture(40, 30))
    frames = [Image.fromarray(picture(40, 30, seed)) for seed in range(3)]
    rows = noise(0, 30, 40, 3, [0, 1, 2, 3, 4])
    whole, stream = png(rows, 40, 3), zlib.compress(rows.tobytes())
    unknown = rows.copy()
    unknown[7, 0] = 5
    sixteen = np.random.default_rng(0).integers(0, 256, (30, 1 + 40 * 6), np.uint8) * np.array(
        [0] + [1] * 240, np.uint8
    )
    wide = png(sixteen, 80, 3)
    header = struct.pack(">IIBBBBB", 40, 30, 16, 2, 0, 0, 0)
    return {
        "a transparent colour": encoded(colours, "PNG", transparency=(1, 2, 3)),
        "an animation": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "a chunk behind the pixels": whole[:-12] + png_chunk(b"tEXt", b"behind\0the pixels") + whole[-12:],
        "a palette": encoded(colours.convert("P"), "PNG"),
        "grey": encoded(colours.convert("L"), "PNG"),
        "sixteen bits": wide[:8] + png_chunk(b"IHDR", header) + wide[33:],
        "a cut file": whole[: len(whole) // 2],
        "rows that are missing": png(rows, 40, 3, stream=zlib.compress(rows[:-1].tobytes())),
        "rows too many": png(rows, 40, 3, stream=zlib.compress(rows.tobytes() + bytes(121))),
        "a wrong checksum of the stream": png(rows, 40, 3, stream=stream[:-1] + bytes([stream[-1] ^ 1])),
        "a stream without its checksum": png(rows, 40, 3, stream=stream[:-4]),
        "bytes behind the stream": png(rows, 40, 3, stream=stream + b"more"),
        "an unknown filter": png(unknown, 40, 3),
    }


LEFT = _left_to_pillow()


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
def test_what_is_not_a_whole_plain_picture_is_left_to_pillow(data: bytes, asked: list[bool]) -> None:
    assert outcome(data) == by_pillow(data)
    assert True not in asked


def test_an_interlaced_picture_is_left_to_pillow(asked: list[bool]) -> None:
    data = bytearray(png(noise(0, 8, 8, 3, [0]), 8, 3))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert outcome(bytes(data)) == by_pillow(bytes(data))
    assert asked == [False]


def test_a_large_picture_is_left_to_pillow(asked: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    data = png(noise(0, 30, 40, 3, [4]), 40, 3)
    for most, taken in ((30 * 121, True), (30 * 121 - 1, False)):
        monkeypatch.setattr(inflated, "MOST_BYTES", most)
        assert outcome(data) == by_pillow(data)
        assert asked.pop() is taken


def test_a_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of a thousand times the picture gives one byte more than the picture, and then it is Pillow's."""
    data = png(noise(0, 2, 2, 3, [0]), 2, 3, stream=zlib.compress(bytes(2_000_000)))
    seen: list[int] = []

    class Watched:
        def __init__(self) -> None:
            self._real = real()

        def decompress(self, stream: bytes, most: int) -> bytes:
            found = self._real.decompress(stream, most)
            seen.append(len(found))
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    real = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Watched)
    assert inflated.decoded(data, Image.open(io.BytesIO(data))) is None
    assert seen == [2 * 7 + 1]


def test_cut_and_mutated_files_have_the_same_pixels_or_the_same_reason(asked: list[bool]) -> None:
    assert compare(400) == {True, False}
    assert {True, False} == set(asked)


@pytest.mark.long
def test_thousands_of_them_have() -> None:
    assert compare(20_000) == {True, False}


@pytest.mark.parametrize("wrong", ["pixels", "cut files", "no compiled code"])
def test_code_that_decodes_otherwise_is_not_used(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = inflated._decoded

    def other(data: bytes, image: Image.Image) -> Image.Image | None:
        if wrong == "cut files":
            return real(data, image) or Image.new("RGB", image.size)
        found = real(data, image)
        return found and found.point(lambda value: value ^ 1)

    if wrong == "no compiled code":
        monkeypatch.setattr(inflated, "compiled", None)
    else:
        monkeypatch.setattr(inflated, "_decoded", other)
    inflated._is_pillows.cache_clear()
    assert not inflated._is_pillows()
    data = encoded(PHOTO, "PNG")
    assert inflated.decoded(data, Image.open(io.BytesIO(data))) is None
    inflated._is_pillows.cache_clear()
