"""Still WebP pictures that libwebp decodes directly have Pillow's pixels, and what is rejected has Pillow's reason."""

from __future__ import annotations

import ctypes
import io
import runpy
import sys

import numpy as np
import PIL
import pytest
from PIL import Image

from imagefeatures import webp
from support.directly import compared, noted, outcome, without
from support.photos import encoded, jpeg, picture, turned

PHOTO = Image.open(io.BytesIO(jpeg(3, 333, 251)))
OF_CHUNK = {b"VP8 ": "lossy", b"VP8L": "lossless"}
OPTIONS = {"lossy": {"quality": 80}, "best": {"quality": 100, "method": 6}, "lossless": {"lossless": True}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """From now on: of each file that libwebp is given, whether it has decoded it."""
    return noted(webp, monkeypatch)


def by_pillow(data: bytes) -> object:
    return without(webp, data)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photo_has_pillows_pixels(options: dict[str, object], orientation: int, asked: list[bool]) -> None:
    data = encoded(PHOTO, "WEBP", exif=turned(orientation), **options)
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1), (17, 31), (1000, 3)])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_any_size_has(width: int, height: int, options: dict[str, object], asked: list[bool]) -> None:
    data = encoded(picture(width, height), "WEBP", **options)
    assert outcome(data) == by_pillow(data)
    assert asked == [True]


def _left_to_pillow() -> dict[str, bytes]:
    frames = [Image.fromarray(picture(40, 30, seed)) for seed in range(3)]
    animated = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    alpha = np.dstack([picture(40, 30), picture(40, 30, 9)[..., 0]])
    return {
        "an animation": animated,
        "alpha": encoded(Image.fromarray(alpha, "RGBA"), "WEBP", quality=80),
        "lossless alpha": encoded(Image.fromarray(alpha, "RGBA"), "WEBP", lossless=True, exact=True),
    }


LEFT = _left_to_pillow()


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
def test_what_is_more_than_one_opaque_picture_is_left_to_pillow(data: bytes, asked: list[bool]) -> None:
    assert outcome(data) == by_pillow(data)
    assert asked == []


def compare(count: int) -> set[bool]:
    """Compare so many mutated files. Returns whether some passed, and whether some were rejected."""
    files = [encoded(picture(48, 36, seed), "WEBP", **options) for seed, options in enumerate(OPTIONS.values())]
    files.append(encoded(picture(48, 36), "WEBP", quality=70, exif=turned(6)))
    return compared(webp, files, 40, count)


def test_cut_and_mutated_files_have_the_same_pixels_or_the_same_reason(asked: list[bool]) -> None:
    assert compare(400) == {True, False}
    assert {True, False} == set(asked)


def test_a_picture_does_not_go_on_in_the_chunk_behind_it(asked: list[bool]) -> None:
    """Its data end in the middle of a partition; as many bytes of metadata follow as it lacks."""
    data = encoded(PHOTO, "WEBP", quality=80)
    length = int.from_bytes(data[16:20], "little")
    cut = length // 4 * 2
    behind = data[20 + cut : 20 + length]
    parts = data[12:16] + cut.to_bytes(4, "little") + data[20 : 20 + cut]
    parts += b"NONE" + len(behind).to_bytes(4, "little") + behind + bytes(len(behind) % 2)
    forged = b"RIFF" + (4 + len(parts)).to_bytes(4, "little") + b"WEBP" + parts
    found = outcome(forged)
    assert found == by_pillow(forged)
    assert len(found) == 2  # type: ignore[arg-type]
    assert asked == [False]


@pytest.mark.long
def test_thousands_of_them_have() -> None:
    assert compare(6000) == {True, False}


@pytest.mark.parametrize("wrong", ["lossy", "lossless", "colours", "cut files", "no library"])
def test_a_library_that_decodes_otherwise_is_not_used(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = webp._decoded

    def other(data: bytes, image: Image.Image) -> Image.Image | None:
        if wrong == "cut files":
            return real(data, image) or Image.new("RGB", image.size)
        found = real(data, image)
        if found and wrong == "colours":
            return Image.merge("RGB", found.split()[::-1])
        return found and found.point(lambda value: value ^ (wrong == OF_CHUNK[data[12:16]]))

    if wrong == "no library":
        monkeypatch.setattr(webp, "_decode", None)
    else:
        monkeypatch.setattr(webp, "_decoded", other)
    webp._is_pillows.cache_clear()
    assert not webp._is_pillows()
    data = encoded(PHOTO, "WEBP")
    assert webp.decoded(data, Image.open(io.BytesIO(data))) is None
    webp._is_pillows.cache_clear()


def test_with_a_pillow_that_was_built_without_webp_nothing_is_decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(PHOTO, "WEBP")
    image = Image.open(io.BytesIO(data))
    monkeypatch.delattr(PIL, "_webp")
    monkeypatch.setitem(sys.modules, "PIL._webp", None)
    assert runpy.run_path(webp.__file__)["decoded"](data, image) is None


@pytest.mark.parametrize("lost", ["_size", "_decode"])
def test_with_a_library_that_lacks_a_function_pillow_decodes(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webp, lost, None)
    webp._is_pillows.cache_clear()
    assert not webp._is_pillows()
    data = encoded(picture(30, 20), "WEBP")
    assert webp.decoded(data, Image.open(io.BytesIO(data))) is None
    monkeypatch.undo()
    webp._is_pillows.cache_clear()


def test_a_function_that_is_not_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(path: str) -> None:
        raise OSError(f"{path}: cannot be loaded")

    assert webp._function("WebPGetInfo") is not None
    assert webp._function("WebPGetNothing") is None
    monkeypatch.setattr(ctypes, "CDLL", refuses)
    assert webp._function("WebPGetInfo") is None
